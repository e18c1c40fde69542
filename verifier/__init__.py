"""The stand-alone verifier: checks a proof file with nothing of the engine."""
