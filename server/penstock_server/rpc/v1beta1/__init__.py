"""The part of the v1beta1 API that the web UI and the SDK still call (api.md §1.6), over the same services."""
