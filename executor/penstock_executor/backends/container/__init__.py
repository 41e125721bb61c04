"""Tasks in containers of this machine, by podman or docker (docs/containers.md)."""
