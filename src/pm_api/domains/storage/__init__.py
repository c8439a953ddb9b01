"""Storage: files, three ways to bring them in, and the one account of what they take up.

Owns upload_sessions, upload_chunks, files, file_versions, stored_objects, object_renditions, file_links,
storage_usage and doomed_objects.
Promises: room is taken before bytes arrive and never twice; a reader sees a whole file or none; what is served is
what was found inside it; each object in the store has a row that says why it is there.
"""
