//! File work off the asynchronous threads.

/// Runs file work where it may block.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        // Nobody aborts it, so it can only have panicked.
        Err(e) => std::panic::resume_unwind(e.into_panic()),
    }
}
