//! Tool calls: parsing, matching, executing, rewarding.
