// Reads one RDF/XML ontology from standard input; answers one tab-separated line a fact.
// `profile`: each violation of OWL 2 DL. `consistency`: whether it has a model, and its unsatisfiable classes.
// Runs from source on the HermiT.jar that owlready2 carries (OWL API 3.4, https://www.hermit-reasoner.com).

import org.semanticweb.HermiT.Configuration;
import org.semanticweb.HermiT.Reasoner;
import org.semanticweb.owlapi.apibinding.OWLManager;
import org.semanticweb.owlapi.io.StreamDocumentSource;
import org.semanticweb.owlapi.model.OWLClass;
import org.semanticweb.owlapi.model.OWLOntology;
import org.semanticweb.owlapi.profiles.OWL2DLProfile;
import org.semanticweb.owlapi.profiles.OWLProfileViolation;

class HermitProcess {
    public static void main(String[] arguments) throws Exception {
        OWLOntology ontology = OWLManager.createOWLOntologyManager()
            .loadOntologyFromOntologyDocument(new StreamDocumentSource(System.in));
        System.out.println("axioms\t" + ontology.getAxiomCount());
        if (arguments[0].equals("profile")) {
            for (OWLProfileViolation violation : new OWL2DLProfile().checkOntology(ontology).getViolations()) {
                System.out.println("violation\t" + violation.toString().replace('\n', ' ').replace('\t', ' '));
            }
        } else {
            Reasoner reasoner = new Reasoner(new Configuration(), ontology);
            boolean consistent = reasoner.isConsistent();
            System.out.println("consistent\t" + consistent);
            if (consistent) {
                for (OWLClass unsatisfiable : reasoner.getUnsatisfiableClasses().getEntitiesMinusBottom()) {
                    System.out.println("unsatisfiable\t" + unsatisfiable.getIRI());
                }
            }
        }
        System.out.println("done\t");
    }
}
