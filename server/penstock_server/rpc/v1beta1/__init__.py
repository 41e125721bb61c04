"""The v1beta1 API as far as the web UI and the SDK still call it (api.md §1.6): other words for the same use cases."""
