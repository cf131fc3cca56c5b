"""What the API server knows of objects: kinds, storage, schemas, defaults, validation, patches."""
