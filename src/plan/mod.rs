//! The plan: graph, keys, what is a hit and what must run.
