"""Long work as rows: who may do it, how far it is, whether it may go on."""
