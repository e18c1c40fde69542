"""Detection, diagnosis and control as the owner serves them: reasoners on the current state, their conclusions as commits."""
