//! HTTP services as tool suites: the operations of an OpenAPI 3.0 or 3.1 document (JSON).
//!
//! [`document`] reads operations into tools, [`schema`] turns their schemas into plain JSON Schemas, [`execute`] makes the
//! request. A service must be on this machine unless the pipeline file says otherwise; redirects and proxies are not followed.
//! Not covered: YAML, cookies, bodies that are not JSON, `deepObject` and the other styles that only OpenAPI has, security schemes
//! (write the header yourself).
//!
//! Source: OpenAPI Specification 3.0.4 and 3.1.1, sections "Path Templating", "Parameter Object" and "Schema Object".

mod document;
mod execute;
mod schema;

pub use document::{Document, DocumentError, MAX_DOCUMENT_BYTES, Operation};
pub use execute::{HttpError, Service};
