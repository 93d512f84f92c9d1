//! How much of the machine there is, and how much of it is taken.

use crate::spec::Resources;

/// What the machine has to give.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Capacity {
    /// Processor cores.
    pub cpus: u32,
    /// Memory in GB (10⁹ bytes).
    pub memory_gb: f64,
    /// Graphics processors.
    pub gpus: u32,
    /// How many stages may run at once; 0 is taken for 1.
    pub slots: usize,
}

/// Amounts in whole units, so that adding and taking away leaves no rounding behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Amount {
    cpus: u64,
    megabytes: u64,
    gpus: u64,
}

impl Amount {
    fn new(cpus: u32, memory_gb: f64, gpus: u32) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped, and whole after rounding"
        )]
        let megabytes = (memory_gb.clamp(0.0, 1e9) * 1000.0).ceil() as u64;
        Self { cpus: cpus.into(), megabytes, gpus: gpus.into() }
    }

    fn fits(self, free: Self) -> bool {
        self.cpus <= free.cpus && self.megabytes <= free.megabytes && self.gpus <= free.gpus
    }
}

/// The part of the machine that one stage takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demand {
    amount: Amount,
    /// It wants more than there is: it runs with nothing beside it.
    alone: bool,
}

/// The machine with what is taken of it.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    total: Amount,
    free: Amount,
    free_slots: usize,
    running: usize,
    running_alone: bool,
}

impl Machine {
    pub(super) fn new(capacity: Capacity) -> Self {
        let total = Amount::new(capacity.cpus, capacity.memory_gb, capacity.gpus);
        Self { total, free: total, free_slots: capacity.slots.max(1), running: 0, running_alone: false }
    }

    pub(super) fn demand(&self, resources: &Resources) -> Demand {
        let amount = Amount::new(resources.cpus, resources.memory_gb, resources.gpus);
        Demand { amount, alone: !amount.fits(self.total) }
    }

    /// Returns whether nothing more can begin, whatever it takes.
    pub(super) fn is_full(&self) -> bool {
        self.free_slots == 0 || self.running_alone
    }

    pub(super) fn fits(&self, demand: &Demand) -> bool {
        !self.is_full() && if demand.alone { self.running == 0 } else { demand.amount.fits(self.free) }
    }

    pub(super) fn take(&mut self, demand: &Demand) {
        self.running += 1;
        self.free_slots = self.free_slots.saturating_sub(1);
        if demand.alone {
            self.running_alone = true;
        } else {
            self.free.cpus = self.free.cpus.saturating_sub(demand.amount.cpus);
            self.free.megabytes = self.free.megabytes.saturating_sub(demand.amount.megabytes);
            self.free.gpus = self.free.gpus.saturating_sub(demand.amount.gpus);
        }
    }

    pub(super) fn give_back(&mut self, demand: &Demand) {
        self.running -= 1;
        self.free_slots += 1;
        if demand.alone {
            self.running_alone = false;
        } else {
            self.free.cpus += demand.amount.cpus;
            self.free.megabytes += demand.amount.megabytes;
            self.free.gpus += demand.amount.gpus;
        }
    }
}
