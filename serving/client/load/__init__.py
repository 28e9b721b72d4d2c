"""`signet load-test`: calls at a stated rate, whatever the server does, and what became of each."""
