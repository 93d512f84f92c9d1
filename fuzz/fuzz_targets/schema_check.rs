//! Whatever schema a server lists and whatever arguments a model writes: the check ends, soon, without a panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use toolexpander::servers::check::ArgumentCheck;

fuzz_target!(|bytes: &[u8]| {
    // The schema, a zero byte, the arguments.
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let (Some(schema), Some(arguments)) = (parts.next(), parts.next()) else { return };
    let Ok(schema) = serde_json::from_slice::<Value>(schema) else { return };
    let Ok(Value::Object(arguments)) = serde_json::from_slice(arguments) else { return };
    if let Ok(check) = ArgumentCheck::new(&schema) {
        let _ = check.check("tool", &arguments);
    }
});
