//! Which stage may begin next: a pure state machine.
