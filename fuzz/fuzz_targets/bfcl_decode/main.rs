//! `cargo +nightly fuzz run bfcl_decode`: no bytes make BFCL's decoder panic.

#![no_main]

mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
