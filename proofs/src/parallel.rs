//! Work on all cores with answers as if one core had done it: the same on many items, two things at once, and the nodes of a tree.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// `f` of every item, in order.
pub(crate) fn each<T: Sync, R: Send>(items: &[T], f: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(items.len());
    if threads < 2 {
        return items.iter().map(f).collect();
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(i) else { return done };
            done.push((i, f(item)));
        }
    };
    let mut all: Vec<(usize, R)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let join = |worker: thread::ScopedJoinHandle<'_, Vec<(usize, R)>>| match worker.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        workers.into_iter().flat_map(join).collect()
    });
    all.sort_by_key(|(i, _)| *i);
    all.into_iter().map(|(_, answer)| answer).collect()
}

/// Both answers, worked on side by side.
pub(crate) fn both<A: Send, B: Send>(first: impl FnOnce() -> A + Send, second: impl FnOnce() -> B) -> (A, B) {
    thread::scope(|scope| {
        let worker = scope.spawn(first);
        let b = second();
        match worker.join() {
            Ok(a) => (a, b),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Visits the nodes of a tree, whose numbers grow from a node to its children: `visit` says what the children are. The answer is that
/// of the node with the least number that fails.
pub(crate) fn tree<T: Send + Sync, E: Send>(
    root: (usize, T),
    visit: impl Fn(usize, &T) -> Result<Vec<(usize, T)>, E> + Sync,
) -> Result<(), E> {
    let most = 4 * thread::available_parallelism().map_or(1, usize::from);
    let mut waiting = vec![root];
    let mut failed: Option<(usize, E)> = None;
    while !waiting.is_empty() {
        // The latest ones first, so that few wait.
        let round = waiting.split_off(waiting.len().saturating_sub(most));
        let answers = each(&round, |(node, inherited)| visit(*node, inherited));
        for ((node, _), answer) in round.iter().zip(answers) {
            match answer {
                Ok(children) => waiting.extend(children),
                Err(why) if failed.as_ref().is_none_or(|(first, _)| node < first) => {
                    failed = Some((*node, why))
                }
                Err(_) => {}
            }
        }
        // What comes after a failure does not count any more.
        if let Some((first, _)) = &failed {
            waiting.retain(|(node, _)| node < first);
        }
    }
    failed.map_or(Ok(()), |(_, why)| Err(why))
}

#[cfg(test)]
mod tests {
    use super::{both, each, tree};
    use std::sync::Mutex;

    #[test]
    fn every_node_of_a_tree_is_visited_and_its_first_failure_is_the_answer() {
        // Children of n are 2n + 1 and 2n + 2.
        let children = |n: usize| [2 * n + 1, 2 * n + 2].into_iter().filter(|n| *n < 1000);
        let seen = Mutex::new(vec![0; 1000]);
        let visit = |n: usize, (): &()| -> Result<_, usize> {
            seen.lock().unwrap()[n] += 1;
            Ok(children(n).map(|n| (n, ())).collect())
        };
        assert_eq!(tree((0, ()), visit), Ok(()));
        assert!(seen.into_inner().unwrap().iter().all(|n| *n == 1));
        for _ in 0..20 {
            let visit = |n: usize, (): &()| match n {
                300.. => Err(n),
                _ => Ok(children(n).map(|n| (n, ())).collect()),
            };
            assert_eq!(tree((0, ()), visit), Err(300));
        }
    }

    #[test]
    fn two_answers_keep_their_places() {
        assert_eq!(both(|| 1, || "two"), (1, "two"));
    }

    #[test]
    fn answers_come_in_order() {
        let items: Vec<u64> = (0..1000).collect();
        assert_eq!(each(&items, |n| n * n), items.iter().map(|n| n * n).collect::<Vec<_>>());
        assert_eq!(each(&[] as &[u64], |n| n + 1), Vec::<u64>::new());
    }
}
