//! Repeats a call to the database while it is away. Every verb may be repeated, and what is at stake
//! (a written item, the end of a job) is worth waiting for, within the time the lease may last.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::door::DoorError;

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

pub async fn patiently<T, F, C>(patience: Duration, mut call: C) -> Result<T, DoorError>
where
    C: FnMut() -> F,
    F: Future<Output = Result<T, DoorError>>,
{
    let until = Instant::now() + patience;
    let mut pause = FIRST_PAUSE;
    loop {
        match call().await {
            Err(error) if error.is_temporary() && Instant::now() + pause < until => {
                tracing::debug!(%error, "trying again");
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn away() -> DoorError {
        DoorError::Unreachable("gone".into())
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_outage_is_waited_out() {
        let calls = Cell::new(0);
        let call = || {
            calls.set(calls.get() + 1);
            let result = if calls.get() < 4 {
                Err(away())
            } else {
                Ok(calls.get())
            };
            async move { result }
        };
        assert_eq!(patiently(Duration::from_secs(30), call).await.unwrap(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_and_a_refusal_is_not_repeated() {
        let begun = Instant::now();
        assert!(
            patiently(Duration::from_secs(30), || async { Err::<(), _>(away()) })
                .await
                .is_err()
        );
        assert!(begun.elapsed() <= Duration::from_secs(30));
        let calls = Cell::new(0);
        let refused = || {
            calls.set(calls.get() + 1);
            async { Err::<(), _>(DoorError::Shape("odd".into())) }
        };
        assert!(patiently(Duration::from_secs(30), refused).await.is_err());
        assert_eq!(calls.get(), 1);
    }
}
