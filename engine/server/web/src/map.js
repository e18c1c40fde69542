// Rows on a map: an outline of the world that is part of the page, no tiles, so nothing is asked of anybody else.
import L from "leaflet";
import { feature, mesh } from "topojson-client";
import wellknown from "wellknown";
import world from "world-atlas/countries-110m.json";
import { isNumber, shown } from "./terms.js";

const MOST = 5000;
const EPSG4326 = /EPSG\/+[\d.]*\/*4326>/i; // its axes are latitude, longitude; everything else here is longitude first

export const showMap = (place, names, rows, { wkt, pairs }) => {
  const box = document.createElement("div");
  box.className = "map";
  place.replaceChildren(box);
  const map = L.map(box, { worldCopyJump: true, attributionControl: true, minZoom: 1, maxZoom: 12, preferCanvas: false });
  map.attributionControl.setPrefix("outline: Natural Earth");
  const svg = L.svg({ padding: 1 });
  for (const turn of [-360, 0, 360]) {
    const turned = { interactive: false, renderer: svg, coordsToLatLng: ([long, lat]) => L.latLng(lat, long + turn) };
    L.geoJSON(land(), { ...turned, className: "land" }).addTo(map);
    L.geoJSON(mesh(world, world.objects.countries, (a, b) => a !== b), { ...turned, className: "border" }).addTo(map);
  }
  const group = L.featureGroup();
  let count = 0, left = 0;
  const add = (layer, row) => {
    if (count >= MOST) {
      left += 1;
      return;
    }
    count += 1;
    layer.bindPopup(() => about(names, row));
    layer.addTo(group);
  };
  for (const row of rows) {
    for (const [lat, long] of pairs) {
      if (isNumber(row[lat]) && isNumber(row[long])) {
        add(L.circleMarker([Number(row[lat].value), Number(row[long].value)], { radius: 6, className: "spot" }), row);
      }
    }
    for (const name of wkt) {
      const shape = row[name] && geometry(row[name].value);
      if (shape) {
        add(L.geoJSON(shape, { className: "shape", pointToLayer: (_, at) => L.circleMarker(at, { radius: 6, className: "spot" }) }), row);
      }
    }
  }
  group.addTo(map);
  const bounds = group.getBounds();
  if (bounds.isValid()) map.fitBounds(bounds.pad(0.2), { maxZoom: 6, animate: false });
  else map.setView([20, 0], 1);
  box.setAttribute("role", "application");
  box.setAttribute("aria-label", `Map with ${count} places; the table shows the same as text`);
  return left ? `${count.toLocaleString("en")} places are drawn, ${left.toLocaleString("en")} more are in the table` : `${count.toLocaleString("en")} places`;
};

// Outlines cross the 180th meridian: here they go on beyond it, and what goes around the pole is closed there.
const land = () => [feature(world, world.objects.land)].flatMap((f) => f.features ?? [f]).map(({ geometry }) => ({
  type: "MultiPolygon",
  coordinates: (geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates).map((rings) => rings.map(unrolled)),
}));

const unrolled = (ring) => {
  let turn = 0;
  const out = ring.map(([long, lat], i) => {
    if (i && long - ring[i - 1][0] > 180) turn -= 360;
    if (i && long - ring[i - 1][0] < -180) turn += 360;
    return [long + turn, lat];
  });
  const [first, last] = [out[0], out.at(-1)];
  if (Math.abs(last[0] - first[0]) > 180) out.push([last[0], -85], [first[0], -85], first);
  return out;
};

const geometry = (text) => {
  const match = /^\s*(<[^>]*>)?\s*(.*)$/s.exec(text);
  try {
    const found = wellknown.parse(match[2]);
    return found && EPSG4326.test(match[1] ?? "") ? { ...found, coordinates: swapped(found.coordinates) } : found;
  } catch {
    return null;
  }
};

const swapped = (at) => (Array.isArray(at[0]) ? at.map(swapped) : [at[1], at[0], ...at.slice(2)]);

const about = (names, row) => {
  const list = document.createElement("dl");
  list.className = "about";
  for (const name of names.filter((n) => row[n])) {
    const term = document.createElement("dt"), value = document.createElement("dd");
    term.textContent = name;
    value.textContent = shown(row[name]).slice(0, 200);
    list.append(term, value);
  }
  return list;
};
