//! The servers room: MCP servers and HTTP services as tool suites.

mod check;
mod frames;
mod http;
mod mcp;
mod openapi;
mod state;
mod suites;
mod support;
mod third_party;
