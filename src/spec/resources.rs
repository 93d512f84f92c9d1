//! What a stage takes of the machine while it runs.

/// What a stage takes of the machine while it runs. Never part of a key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resources {
    /// Processor cores.
    pub cpus: u32,
    /// Memory in GB (10⁹ bytes).
    pub memory_gb: f64,
    /// Graphics processors.
    pub gpus: u32,
}

impl Default for Resources {
    /// One core and half a gigabyte: what a small script takes.
    fn default() -> Self {
        Self { cpus: 1, memory_gb: 0.5, gpus: 0 }
    }
}
