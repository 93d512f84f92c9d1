//! Tool servers: programs and HTTP services whose tools a model calls for real.

mod error;
pub mod frames;
pub mod mcp;
mod process;
mod transport;
pub mod worlds;

pub use error::ServerError;
pub use process::Launch;
