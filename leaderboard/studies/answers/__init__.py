"""The project's questions, answered from whatever records there are; one file a question."""
