//! How work on tables stands behind calls: between two steps it lets go of the processor for whoever waits for it.

/// Lets threads that wait for this processor have it first. Without it a scheduler lets a thread that is not done go on for
/// some three milliseconds, and calls that came meanwhile are as much later.
pub(crate) fn give_way() {
    std::thread::yield_now();
}
