"""The Kubernetes objects, with just the fields that inplace reads or writes. They know nothing of inplace."""
