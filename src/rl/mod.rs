//! Reinforcement-learning formulas, one a file.
