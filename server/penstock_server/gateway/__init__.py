"""REST by transcoding: every route comes from the descriptors' google.api.http annotations."""
