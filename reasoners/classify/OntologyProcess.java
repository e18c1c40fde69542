// One ontology document from standard input; answers one tab-separated line a fact, `done` last.
// `profile`: violations of OWL 2 DL. `consistency`: whether it has a model, and its unsatisfiable classes. `classify`: these,
// the inferred hierarchy, and minimal sets of axioms for what is wrong. `convert`: the document as RDF/XML, in base64.
// Runs on the HermiT.jar that owlready2 carries (OWL API 3.4, https://www.hermit-reasoner.com). Fetches nothing.

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collection;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Predicate;
import org.coode.owlapi.manchesterowlsyntax.ManchesterOWLSyntaxOntologyFormat;
import org.coode.owlapi.turtle.TurtleOntologyFormat;
import org.semanticweb.HermiT.Configuration;
import org.semanticweb.HermiT.Reasoner;
import org.semanticweb.owlapi.apibinding.OWLManager;
import org.semanticweb.owlapi.io.OWLFunctionalSyntaxOntologyFormat;
import org.semanticweb.owlapi.io.OWLXMLOntologyFormat;
import org.semanticweb.owlapi.io.RDFOntologyFormat;
import org.semanticweb.owlapi.io.RDFXMLOntologyFormat;
import org.semanticweb.owlapi.io.StreamDocumentSource;
import org.semanticweb.owlapi.io.UnparsableOntologyException;
import org.semanticweb.owlapi.model.IRI;
import org.semanticweb.owlapi.model.OWLAxiom;
import org.semanticweb.owlapi.model.OWLClass;
import org.semanticweb.owlapi.model.OWLDataProperty;
import org.semanticweb.owlapi.model.OWLEntity;
import org.semanticweb.owlapi.model.OWLImportsDeclaration;
import org.semanticweb.owlapi.model.OWLLogicalAxiom;
import org.semanticweb.owlapi.model.OWLObjectProperty;
import org.semanticweb.owlapi.model.OWLObjectPropertyExpression;
import org.semanticweb.owlapi.model.OWLOntology;
import org.semanticweb.owlapi.model.OWLOntologyCreationException;
import org.semanticweb.owlapi.model.OWLOntologyFormat;
import org.semanticweb.owlapi.model.OWLOntologyManager;
import org.semanticweb.owlapi.profiles.OWL2DLProfile;
import org.semanticweb.owlapi.profiles.OWLProfileViolation;
import org.semanticweb.owlapi.reasoner.InferenceType;
import org.semanticweb.owlapi.reasoner.Node;
import org.semanticweb.owlapi.reasoner.ReasonerProgressMonitor;
import org.semanticweb.owlapi.util.ShortFormProvider;
import uk.ac.manchester.cs.owl.owlapi.mansyntaxrenderer.ManchesterOWLSyntaxOWLObjectRendererImpl;
import uk.ac.manchester.cs.owlapi.modularity.ModuleType;
import uk.ac.manchester.cs.owlapi.modularity.SyntacticLocalityModuleExtractor;

class OntologyProcess {
    static final long STACK = 512L << 20;
    static final int PATHS = 2000; // of the hitting set tree, for all justifications of one class
    static final ManchesterOWLSyntaxOWLObjectRendererImpl RENDERER = new ManchesterOWLSyntaxOWLObjectRendererImpl();
    static int status = 0;

    public static void main(String[] arguments) throws Exception {
        RENDERER.setShortFormProvider(new ShortFormProvider() {
            public String getShortForm(OWLEntity entity) { return "<" + entity.getIRI() + ">"; }
            public void dispose() { }
        });
        // Deep class expressions are walked by recursion.
        Thread worker = new Thread(null, () -> guarded(arguments), "worker", STACK);
        worker.start();
        worker.join();
        System.out.flush();
        System.exit(status);
    }

    static void guarded(String[] arguments) {
        try {
            run(arguments);
            say("done", "");
        } catch (StackOverflowError error) {
            fail("depth", "expressions nested too deeply");
        } catch (UnparsableOntologyException error) {
            fail("syntax", closest(error));
        } catch (Throwable error) {
            if (error instanceof OutOfMemoryError) { throw (OutOfMemoryError) error; }
            fail(error.getClass().getSimpleName(), String.valueOf(error.getMessage()));
        }
    }

    // Every parser failed: the one that got furthest is the one the document was meant for.
    static String closest(UnparsableOntologyException error) {
        String best = "";
        int furthest = -1;
        for (var entry : error.getExceptions().entrySet()) {
            int line = entry.getValue().getLineNumber();
            if (line > furthest) {
                furthest = line;
                best = entry.getKey().getClass().getSimpleName() + ": " + entry.getValue().getMessage();
            }
        }
        return best;
    }

    static void fail(String kind, String message) {
        say("error", kind + "\t" + flat(message));
        status = 1;
    }

    static void say(String key, String value) { System.out.println(key + "\t" + value); }

    static String flat(String text) { return text.replace('\n', ' ').replace('\r', ' ').replace('\t', ' '); }

    @SuppressWarnings("deprecation")
    static OWLOntologyManager manager() {
        OWLOntologyManager manager = OWLManager.createOWLOntologyManager();
        manager.setSilentMissingImportsHandling(true);
        manager.addIRIMapper(iri -> IRI.create("file:///dev/null/no-network"));
        return manager;
    }

    static void run(String[] arguments) throws Exception {
        OWLOntologyManager manager = manager();
        OWLOntology ontology = manager.loadOntologyFromOntologyDocument(new StreamDocumentSource(System.in));
        say("axioms", String.valueOf(ontology.getAxiomCount()));
        OWLOntologyFormat format = manager.getOntologyFormat(ontology);
        say("format", format.toString());
        if (format instanceof RDFOntologyFormat) {
            var loaded = ((RDFOntologyFormat) format).getOntologyLoaderMetaData();
            loaded.getUnparsedTriples().forEach(triple -> say("unparsed", flat(triple.toString())));
        }
        switch (arguments[0]) {
            case "profile": profile(ontology); break;
            case "consistency": consistency(ontology); break;
            case "classify":
                profile(ontology);
                new Classification(ontology, Integer.parseInt(arguments[1]), Integer.parseInt(arguments[2])).run();
                break;
            case "convert":
                if (arguments.length > 1) {
                    ontology = through(ontology, arguments[1]);
                    manager = ontology.getOWLOntologyManager();
                    format = manager.getOntologyFormat(ontology);
                }
                convert(manager, ontology, format);
                break;
            default: throw new IllegalArgumentException(arguments[0]);
        }
    }

    /** The ontology as it comes back from being saved in a syntax. */
    static OWLOntology through(OWLOntology ontology, String syntax) throws Exception {
        OWLOntologyFormat format = switch (syntax) {
            case "rdf-xml" -> new RDFXMLOntologyFormat();
            case "turtle" -> new TurtleOntologyFormat();
            case "owl-xml" -> new OWLXMLOntologyFormat();
            case "functional" -> new OWLFunctionalSyntaxOntologyFormat();
            case "manchester" -> new ManchesterOWLSyntaxOntologyFormat();
            default -> throw new IllegalArgumentException(syntax);
        };
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ontology.getOWLOntologyManager().saveOntology(ontology, format, out);
        return manager().loadOntologyFromOntologyDocument(new StreamDocumentSource(new ByteArrayInputStream(out.toByteArray())));
    }

    static void convert(OWLOntologyManager manager, OWLOntology ontology, OWLOntologyFormat format) throws Exception {
        for (OWLImportsDeclaration imported : ontology.getImportsDeclarations()) { say("import", imported.getIRI().toString()); }
        RDFXMLOntologyFormat target = new RDFXMLOntologyFormat();
        if (format.isPrefixOWLOntologyFormat()) {
            target.copyPrefixesFrom(format.asPrefixOWLOntologyFormat());
            format.asPrefixOWLOntologyFormat().getPrefixName2PrefixMap().forEach((name, iri) -> say("prefix", name + "\t" + iri));
        }
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        manager.saveOntology(ontology, target, out);
        say("document", Base64.getEncoder().encodeToString(out.toByteArray()));
    }

    static void profile(OWLOntology ontology) {
        for (OWLProfileViolation violation : new OWL2DLProfile().checkOntology(ontology).getViolations()) {
            say("violation", violation.getClass().getSimpleName() + "\t" + flat(violation.toString()));
        }
    }

    static void consistency(OWLOntology ontology) {
        Reasoner reasoner = new Reasoner(new Configuration(), ontology);
        boolean consistent = reasoner.isConsistent();
        say("consistent", String.valueOf(consistent));
        if (consistent) {
            for (OWLClass unsatisfiable : reasoner.getUnsatisfiableClasses().getEntitiesMinusBottom()) {
                say("unsatisfiable", unsatisfiable.getIRI().toString());
            }
        }
    }

    /** Everything about the terms: hierarchy, equivalences, what is wrong and why. */
    static class Classification {
        final OWLOntology ontology;
        final int most; // justifications of one class
        final int explained; // classes that are explained

        Classification(OWLOntology ontology, int most, int explained) {
            this.ontology = ontology;
            this.most = most;
            this.explained = explained;
        }

        void run() throws OWLOntologyCreationException {
            Configuration configuration = new Configuration();
            configuration.reasonerProgressMonitor = new Progress();
            Reasoner reasoner = new Reasoner(configuration, ontology);
            boolean consistent = reasoner.isConsistent();
            say("consistent", String.valueOf(consistent));
            List<OWLAxiom> logical = sorted(logical(ontology.getAxioms()));
            if (!consistent) {
                int number = 0;
                for (Set<OWLAxiom> set : justifications(logical, OntologyProcess::isInconsistent)) { tell("", number++, set); }
                return;
            }
            hierarchy(reasoner);
            int told = 0;
            for (OWLClass bad : new TreeSet<>(reasoner.getUnsatisfiableClasses().getEntitiesMinusBottom())) {
                say("unsatisfiable", bad.getIRI().toString());
                if (told++ >= explained) { continue; }
                say("progress", told + "\t0\texplaining");
                Set<OWLEntity> signature = Collections.singleton(bad);
                Set<OWLAxiom> module = new SyntacticLocalityModuleExtractor(
                    OWLManager.createOWLOntologyManager(), null, new HashSet<>(logical), ModuleType.STAR).extract(signature);
                int number = 0;
                for (Set<OWLAxiom> set : justifications(sorted(logical(module)), axioms -> isUnsatisfiable(bad, axioms))) {
                    tell(bad.getIRI().toString(), number++, set);
                }
            }
        }

        void hierarchy(Reasoner reasoner) {
            reasoner.precomputeInferences(
                InferenceType.CLASS_HIERARCHY, InferenceType.OBJECT_PROPERTY_HIERARCHY, InferenceType.DATA_PROPERTY_HIERARCHY);
            Set<Node<OWLClass>> classes = new HashSet<>();
            for (OWLClass one : ontology.getClassesInSignature()) {
                if (!one.isOWLNothing() && reasoner.isSatisfiable(one)) { classes.add(reasoner.getEquivalentClasses(one)); }
            }
            for (Node<OWLClass> node : classes) {
                List<String> names = names(node.getEntities());
                if (names.size() > 1) { say("equivalent", "class\t" + String.join("\t", names)); }
                for (Node<OWLClass> above : reasoner.getSuperClasses(node.getRepresentativeElement(), true)) {
                    for (OWLClass parent : above) {
                        for (OWLClass child : node) { say("sub", "class\t" + child.getIRI() + "\t" + parent.getIRI()); }
                    }
                }
            }
            for (OWLObjectProperty one : ontology.getObjectPropertiesInSignature()) {
                for (Node<OWLObjectPropertyExpression> above : reasoner.getSuperObjectProperties(one, true)) {
                    for (OWLObjectPropertyExpression parent : above) {
                        if (!parent.isAnonymous()) {
                            say("sub", "property\t" + one.getIRI() + "\t" + parent.asOWLObjectProperty().getIRI());
                        }
                    }
                }
                List<String> same = new ArrayList<>();
                for (OWLObjectPropertyExpression other : reasoner.getEquivalentObjectProperties(one)) {
                    if (!other.isAnonymous()) { same.add(other.asOWLObjectProperty().getIRI().toString()); }
                }
                Collections.sort(same);
                if (same.size() > 1) { say("equivalent", "property\t" + String.join("\t", same)); }
            }
            for (OWLDataProperty one : ontology.getDataPropertiesInSignature()) {
                for (Node<OWLDataProperty> above : reasoner.getSuperDataProperties(one, true)) {
                    for (OWLDataProperty parent : above) { say("sub", "property\t" + one.getIRI() + "\t" + parent.getIRI()); }
                }
                List<String> same = names(reasoner.getEquivalentDataProperties(one).getEntities());
                if (same.size() > 1) { say("equivalent", "property\t" + String.join("\t", same)); }
            }
        }

        void tell(String about, int number, Set<OWLAxiom> axioms) {
            for (OWLAxiom axiom : sorted(axioms)) {
                Set<String> names = new TreeSet<>();
                for (OWLEntity entity : axiom.getSignature()) { names.add(entity.getIRI().toString()); }
                say("because", about + "\t" + number + "\t" + flat(RENDERER.render(axiom)).replaceAll(" +", " ")
                    + "\t" + axiom.getAxiomType() + "\t" + String.join(" ", names));
            }
        }

        /** Minimal sets of the axioms for which the test holds, by a hitting set tree (Reiter 1987); at most `most`. */
        List<Set<OWLAxiom>> justifications(List<OWLAxiom> axioms, Predicate<Collection<OWLAxiom>> test) {
            List<Set<OWLAxiom>> found = new ArrayList<>();
            Set<Set<OWLAxiom>> seen = new HashSet<>();
            ArrayDeque<Set<OWLAxiom>> paths = new ArrayDeque<>();
            paths.add(Set.of());
            int visited = 0;
            while (!paths.isEmpty() && found.size() < most && visited++ < PATHS) {
                Set<OWLAxiom> without = paths.poll();
                Set<OWLAxiom> next = null;
                for (Set<OWLAxiom> known : found) {
                    if (Collections.disjoint(known, without)) { next = known; break; }
                }
                if (next == null) {
                    List<OWLAxiom> left = new ArrayList<>(axioms);
                    left.removeAll(without);
                    if (!test.test(left)) { continue; }
                    next = new LinkedHashSet<>(minimal(List.of(), false, left, test));
                    found.add(next);
                }
                for (OWLAxiom axiom : next) {
                    Set<OWLAxiom> path = new HashSet<>(without);
                    path.add(axiom);
                    if (seen.add(path)) { paths.add(path); }
                }
            }
            return found;
        }
    }

    /** QuickXplain (Junker 2004): a minimal subset of `candidates` for which the monotone test holds with `given`. */
    static List<OWLAxiom> minimal(
            List<OWLAxiom> given, boolean grown, List<OWLAxiom> candidates, Predicate<Collection<OWLAxiom>> test) {
        if (grown && test.test(given)) { return List.of(); }
        if (candidates.size() == 1) { return candidates; }
        int half = candidates.size() / 2;
        List<OWLAxiom> first = candidates.subList(0, half);
        List<OWLAxiom> second = candidates.subList(half, candidates.size());
        List<OWLAxiom> right = minimal(joined(given, first), true, second, test);
        List<OWLAxiom> left = minimal(joined(given, right), !right.isEmpty(), first, test);
        return joined(left, right);
    }

    static List<OWLAxiom> joined(List<OWLAxiom> a, List<OWLAxiom> b) {
        List<OWLAxiom> all = new ArrayList<>(a);
        all.addAll(b);
        return all;
    }

    static boolean isInconsistent(Collection<OWLAxiom> axioms) { return !axioms.isEmpty() && asked(axioms, r -> !r.isConsistent()); }

    static boolean isUnsatisfiable(OWLClass one, Collection<OWLAxiom> axioms) {
        return !axioms.isEmpty() && asked(axioms, r -> !r.isSatisfiable(one));
    }

    static boolean asked(Collection<OWLAxiom> axioms, Predicate<Reasoner> question) {
        try {
            OWLOntologyManager manager = OWLManager.createOWLOntologyManager();
            Reasoner reasoner = new Reasoner(new Configuration(), manager.createOntology(new HashSet<>(axioms)));
            boolean answer = question.test(reasoner);
            reasoner.dispose();
            return answer;
        } catch (OWLOntologyCreationException error) {
            throw new IllegalStateException(error);
        }
    }

    static List<OWLAxiom> logical(Set<OWLAxiom> axioms) {
        List<OWLAxiom> found = new ArrayList<>();
        for (OWLAxiom axiom : axioms) { if (axiom instanceof OWLLogicalAxiom) { found.add(axiom); } }
        return found;
    }

    static List<OWLAxiom> sorted(Collection<OWLAxiom> axioms) {
        List<OWLAxiom> found = new ArrayList<>(axioms);
        found.sort(Comparator.comparing(OWLAxiom::toString));
        return found;
    }

    static List<String> names(Set<? extends OWLEntity> entities) {
        Set<String> found = new TreeSet<>();
        for (OWLEntity entity : entities) { found.add(entity.getIRI().toString()); }
        return new ArrayList<>(found);
    }

    static class Progress implements ReasonerProgressMonitor {
        String task = "";
        public void reasonerTaskStarted(String name) { task = name; }
        public void reasonerTaskStopped() { }
        public void reasonerTaskBusy() { }
        public void reasonerTaskProgressChanged(int value, int max) { say("progress", value + "\t" + max + "\t" + flat(task)); }
    }
}
