"""One job on several computers: the nodes of a Ray cluster; the merged report of shards."""
