//! The engine: runs planned stages as child processes; emits events and prints nothing.
