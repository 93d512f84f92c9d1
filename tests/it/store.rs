//! Tests of `store`.

mod basics;
mod speed;
mod support;

/// What a child process of a test does.
fn child_main(task: &str, arguments: &[&str]) {
    panic!("no such task: {task} {arguments:?}");
}
