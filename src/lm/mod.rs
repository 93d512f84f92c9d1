//! Language models: load, sample, train.
