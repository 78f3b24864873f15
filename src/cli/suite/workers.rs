//! Statements of a suite side by side.
//!
//! Threads of their own, not tasks of the pool that provers use: a prover that waits for its tasks must not pick up another
//! statement meanwhile, whose time would run while it lies there.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use llmprove::limits::Limits;
use llmprove::prove::Event;

use super::settle::{Settled, Task};
use crate::cli::error::CliError;
use crate::cli::progress::Progress;

/// Settles all tasks, as many at a time as there are worker threads; results are in the order of the tasks.
pub fn settle_all(
    tasks: &[Task<'_>],
    limits: &Limits,
    progress: &Progress,
) -> Result<Vec<Settled>, CliError> {
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let results: Mutex<Vec<Option<Result<Settled, CliError>>>> =
        Mutex::new(tasks.iter().map(|_| None).collect());
    let work = || {
        loop {
            let k = next.fetch_add(1, Ordering::Relaxed);
            let Some(task) = tasks.get(k) else { break };
            let say = |stage: &str| {
                let (done, name) = (done.load(Ordering::Relaxed), &task.entry.name);
                progress.say(format!("{done} of {} statements; {name}: {stage}", tasks.len()));
            };
            say("checking");
            let settled = task.settle(limits, &|event| {
                if let Event::Stage(stage) = event {
                    say(stage);
                }
            });
            done.fetch_add(1, Ordering::Relaxed);
            if let Ok(settled) = &settled {
                tracing::info!(statement = task.entry.name, how = settled.how.word(), "settled");
            }
            results.lock().unwrap_or_else(PoisonError::into_inner)[k] = Some(settled);
        }
    };
    let workers = rayon::current_num_threads().clamp(1, tasks.len().max(1));
    std::thread::scope(|scope| (0..workers).for_each(|_| drop(scope.spawn(work))));
    let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.into_iter().map(|result| result.expect("every task was worked on")).collect()
}
