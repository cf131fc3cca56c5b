"""The API server's model: objects as plain JSON, versions, patches, watches; no HTTP, no controllers, no time of its own."""
