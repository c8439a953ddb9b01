"""Search: one document for each thing with words in it, found by everybody who may see the thing itself.

Promises: what a caller may not see is neither found nor counted; a walk through the pages ends and repeats nothing,
whatever is written meanwhile; a page costs about the same however many documents match. Each slice writes its own
documents in the transaction that changes the thing. Owns search_documents and search_hidden_projects.
"""
