//! Every input of `fuzz/corpus` goes through its target: what broke a reader once breaks none
//! again, without the fuzzing engine.

use cloudschool_fuzz_targets::TARGETS;
use std::path::Path;

#[test]
fn every_target_takes_its_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    for (name, target) in TARGETS {
        let directory = std::fs::read_dir(corpus.join(name));
        let mut inputs: Vec<_> = directory
            .unwrap_or_else(|e| panic!("fuzz/corpus/{name}: {e}"))
            .map(|entry| entry.unwrap().path())
            .collect();
        inputs.sort();
        assert!(inputs.len() >= 3, "fuzz/corpus/{name} has too little in it");
        for input in inputs {
            let data = std::fs::read(&input).unwrap();
            let taken = std::panic::catch_unwind(|| target(&data));
            assert!(taken.is_ok(), "{name} does not take {}", input.display());
        }
    }
}

#[test]
fn every_target_has_a_program() {
    let bins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bins");
    for (name, _) in TARGETS {
        let program = std::fs::read_to_string(bins.join(format!("{name}.rs"))).unwrap();
        assert!(program.contains(&format!("run({name:?}")), "{name}.rs runs another target");
    }
}
