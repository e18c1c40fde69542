// What an ontology editor on the OWL API does: opens a file with the catalogue beside it, edits, saves in a syntax.
// Standard input: one job a line, tab-separated: FILE FORMAT OUT [EDIT ARGUMENT...]. Tells what could not be read.
// Run on the HermiT.jar of owlready2.

import java.io.File;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Set;
import org.coode.owlapi.manchesterowlsyntax.ManchesterOWLSyntaxOntologyFormat;
import org.coode.owlapi.turtle.TurtleOntologyFormat;
import org.semanticweb.owlapi.apibinding.OWLManager;
import org.semanticweb.owlapi.io.OWLFunctionalSyntaxOntologyFormat;
import org.semanticweb.owlapi.io.OWLXMLOntologyFormat;
import org.semanticweb.owlapi.io.RDFOntologyFormat;
import org.semanticweb.owlapi.io.RDFXMLOntologyFormat;
import org.semanticweb.owlapi.model.IRI;
import org.semanticweb.owlapi.model.OWLAnnotationAssertionAxiom;
import org.semanticweb.owlapi.model.OWLAxiom;
import org.semanticweb.owlapi.model.OWLClass;
import org.semanticweb.owlapi.model.OWLDataFactory;
import org.semanticweb.owlapi.model.OWLEntity;
import org.semanticweb.owlapi.model.OWLOntology;
import org.semanticweb.owlapi.model.OWLOntologyFormat;
import org.semanticweb.owlapi.model.OWLOntologyManager;
import org.semanticweb.owlapi.util.OWLEntityRemover;
import java.util.Collections;
import java.util.TreeMap;

class Editor {
    public static void main(String[] arguments) throws Exception {
        for (String line : new String(System.in.readAllBytes(), StandardCharsets.UTF_8).split("\n")) {
            if (!line.isEmpty()) { job(line.split("\t")); }
        }
    }

    static void job(String[] a) throws Exception {
        OWLOntologyManager manager = OWLManager.createOWLOntologyManager();
        File file = new File(a[0]);
        for (Map.Entry<String, String> entry : catalogue(file).entrySet()) {
            IRI document = IRI.create(new File(file.getParentFile(), entry.getValue()));
            manager.addIRIMapper(iri -> iri.toString().equals(entry.getKey()) ? document : null);
        }
        OWLOntology ontology = manager.loadOntologyFromOntologyDocument(file);
        for (OWLOntology one : manager.getOntologies()) {
            OWLOntologyFormat format = manager.getOntologyFormat(one);
            System.out.println("loaded\t" + one.getOntologyID() + "\t" + one.getAxiomCount());
            if (format instanceof RDFOntologyFormat) {
                ((RDFOntologyFormat) format).getOntologyLoaderMetaData().getUnparsedTriples()
                    .forEach(t -> System.out.println("unparsed\t" + t));
            }
        }
        for (OWLEntity entity : ontology.getSignature()) {
            if (entity.getIRI().toString().contains("owlapi/error#")) { System.out.println("error\t" + entity); }
        }
        OWLDataFactory make = manager.getOWLDataFactory();
        for (int i = 3; i < a.length; ) {
            switch (a[i]) {
                case "add-class":
                    OWLClass added = make.getOWLClass(IRI.create(a[i + 1]));
                    manager.addAxiom(ontology, make.getOWLDeclarationAxiom(added));
                    manager.addAxiom(ontology, make.getOWLSubClassOfAxiom(added, make.getOWLClass(IRI.create(a[i + 2]))));
                    manager.addAxiom(ontology, make.getOWLAnnotationAssertionAxiom(
                        make.getRDFSLabel(), added.getIRI(), make.getOWLLiteral(a[i + 3], "en")));
                    i += 4;
                    break;
                case "some":
                    manager.addAxiom(ontology, make.getOWLSubClassOfAxiom(
                        make.getOWLClass(IRI.create(a[i + 1])), make.getOWLObjectSomeValuesFrom(
                            make.getOWLObjectProperty(IRI.create(a[i + 2])), make.getOWLClass(IRI.create(a[i + 3])))));
                    i += 4;
                    break;
                case "label":
                    IRI labelled = IRI.create(a[i + 1]);
                    for (OWLAnnotationAssertionAxiom axiom : ontology.getAnnotationAssertionAxioms(labelled)) {
                        if (axiom.getProperty().isLabel()) { manager.removeAxiom(ontology, axiom); }
                    }
                    manager.addAxiom(ontology, make.getOWLAnnotationAssertionAxiom(
                        make.getRDFSLabel(), labelled, make.getOWLLiteral(a[i + 2], "en")));
                    i += 3;
                    break;
                case "remove-axioms":
                    for (OWLAxiom axiom : Set.copyOf(ontology.getSubClassAxiomsForSubClass(make.getOWLClass(IRI.create(a[i + 1]))))) {
                        manager.removeAxiom(ontology, axiom);
                    }
                    i += 2;
                    break;
                case "delete":
                    OWLEntityRemover remover = new OWLEntityRemover(manager, Collections.singleton(ontology));
                    make.getOWLClass(IRI.create(a[i + 1])).accept(remover);
                    manager.applyChanges(remover.getChanges());
                    i += 2;
                    break;
                default: throw new IllegalArgumentException(a[i]);
            }
        }
        OWLOntologyFormat format = switch (a[1]) {
            case "rdf-xml" -> new RDFXMLOntologyFormat();
            case "turtle" -> new TurtleOntologyFormat();
            case "owl-xml" -> new OWLXMLOntologyFormat();
            case "functional" -> new OWLFunctionalSyntaxOntologyFormat();
            case "manchester" -> new ManchesterOWLSyntaxOntologyFormat();
            default -> throw new IllegalArgumentException(a[1]);
        };
        OWLOntologyFormat was = manager.getOntologyFormat(ontology);
        if (was.isPrefixOWLOntologyFormat()) { format.asPrefixOWLOntologyFormat().copyPrefixesFrom(was.asPrefixOWLOntologyFormat()); }
        manager.saveOntology(ontology, format, IRI.create(new File(a[2])));
        System.out.println("saved\t" + a[2]);
    }

    static Map<String, String> catalogue(File file) throws Exception {
        Map<String, String> found = new TreeMap<>();
        File path = new File(file.getParentFile(), "catalog-v001.xml");
        if (!path.isFile()) { return found; }
        var uris = javax.xml.parsers.DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(path).getElementsByTagName("uri");
        for (int i = 0; i < uris.getLength(); i++) {
            var attributes = uris.item(i).getAttributes();
            found.put(attributes.getNamedItem("name").getNodeValue(), attributes.getNamedItem("uri").getNodeValue());
        }
        return found;
    }
}
