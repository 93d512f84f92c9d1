//! The artifact store: a folder of content-addressed blobs, the results that name them, and the runs that made them.
//!
//! ```text
//! objects/ab/cdef…     blobs, named by the BLAKE3 of their bytes, mode 0444 once they are durable
//! results/<key>.json   one manifest per result, written last: no manifest = it never happened
//! runs/<run-id>/       run.json, journal.jsonl, uses.txt, logs/, whatever the engine adds
//! pins/NAME.toml       results and blobs that garbage collection keeps
//! quarantine/          what `verify` found damaged
//! index.sqlite         a cache, rebuilt whenever it is missing, damaged or behind
//! tmp/  locks/         transient
//! ```
//!
//! Called by the engine and the command line. It must not know pipelines, plans or stages, decide what runs, or print.
//! The files below `results/` and `objects/` are the only truth: the index answers "which key", never "is it there".
//! A blob may vanish at any time; then its result is a miss, not an error.

mod commit;
mod digests;
mod disk;
mod error;
mod fault;
mod gc;
mod index;
mod layout;
mod lock;
mod objects;
mod ofd;
mod open;
mod pins;
mod results;
mod roots;
mod runs;
mod session;
mod take;
mod time;
mod tree;
mod verify;
mod view;
mod watch;

pub use commit::Ticket;
pub use error::StoreError;
pub use fault::{FaultPoint, Faults};
pub use gc::{GcOptions, GcReport};
pub use lock::KeyLock;
pub use open::{Options, Store};
pub use pins::Pin;
pub use runs::{Journal, JournalLine, RunFolder, RunInfo};
pub use tree::folder_digest;
pub use verify::{Finding, Problem, VerifyReport};
pub use watch::Watched;
