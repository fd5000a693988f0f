//! Keeps a shard on one processor. A shard's viewers are in that processor's cache; moved to
//! another one, as the scheduler does whenever something else wakes beside it, the thread
//! fetches them all again, from a cache it has left.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::io;

/// Keeps the calling thread to the `index`th of the processors this process may use, counted
/// round: with more shards than processors some share one.
///
/// # Errors
/// The operating system's. The thread then runs where it ran before.
pub fn keep_to(index: usize) -> io::Result<()> {
    let allowed = sched_getaffinity(None)?;
    let count = allowed.count() as usize;
    let nth = index.checked_rem(count).unwrap_or(0);
    let mut processors = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu));
    let chosen = processors.nth(nth).ok_or(io::ErrorKind::NotFound)?;
    let mut one = CpuSet::new();
    one.set(chosen);
    Ok(sched_setaffinity(None, &one)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mine() -> Vec<usize> {
        let set = sched_getaffinity(None).unwrap();
        (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect()
    }

    #[test]
    fn each_shard_keeps_to_a_processor_the_process_may_use_and_other_threads_stay_free() {
        let allowed = mine();
        for shard in 0..allowed.len() * 2 {
            let kept = std::thread::spawn(move || keep_to(shard).map(|()| mine()));
            assert_eq!(kept.join().unwrap().unwrap(), [allowed[shard % allowed.len()]]);
        }
        assert_eq!(mine(), allowed);
    }
}
