//! The whole job, small; runs that stop, files that are damaged, runs that diverge.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::init::Init;

fn options(arguments: &str) -> Result<Options> {
    command::typed::<Arguments>(arguments)?.options()
}

/// A folder of one test.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let name = format!("orthogap-train-{test}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    /// Does the job with files here; what the CSV says.
    fn run(&self, name: &str, arguments: &str) -> Result<String> {
        let mut options = options(arguments)?;
        options.csv = self.0.join(format!("{name}.csv"));
        options.svg = self.0.join(format!("{name}.svg"));
        experiment(&options)?;
        Ok(fs::read_to_string(&options.csv)?)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The field of a line about a run.
fn field<'a>(csv: &'a str, line: &str, name: &str) -> &'a str {
    let column = csv.lines().next().unwrap().split(',').position(|field| field == name).unwrap();
    let line = csv.lines().find(|found| found.starts_with(line)).unwrap();
    line.split(',').nth(column).unwrap()
}

fn number(csv: &str, line: &str, name: &str) -> f64 {
    field(csv, line, name).parse().unwrap()
}

#[test]
fn wrong_options_get_one_clear_line() {
    for (arguments, message) in [
        ("--figure 5", "invalid value '5' for '--figure <F>': expected 3a, 3b, 4 or 7"),
        (
            "--init xavier,best",
            "invalid value 'best' for '--init <A,B,...>': expected some of xavier, he, orthogonal, lsuv,",
        ),
        ("--scalar f16", "invalid value 'f16' for '--scalar <TYPE>' [possible values: f32, f64]"),
        (
            "--batch 1",
            "invalid value '1' for '--batch <N>': expected a whole number from 2 to 1099511627776",
        ),
        ("--rate -1", "learning rate = -1 is invalid"),
        ("--rate 1e39", "0 is invalid: expected a number that is finite in the arithmetic"),
        ("--momentum 1", "momentum = 1 is invalid"),
        ("--batch 1501", "batches of 1501 from 1500 handwritten digits"),
        ("--data cifar10:nowhere", "nowhere"),
    ] {
        let outcome = options(arguments).and_then(|options| experiment(&options));
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains(message) && !error.contains('\n'), "{error}");
    }
}

#[test]
fn protocols_are_scaled_by_options() {
    let options = options("--figure 7 --depth 4,4 --rate 0.1 --quick --init authors,he").unwrap();
    assert!(options.convolutional);
    assert_eq!((options.depths, options.batch_size), (vec![4], 30));
    assert_eq!((options.optimizer.learning_rate(), options.width), (0.1, 8));
    assert_eq!(options.inits, [Init::Authors, Init::He]);
}

/// Every initialisation, dense and convolutional, in both arithmetics; on one thread and on three,
/// the same files.
#[test]
fn everything_trains() {
    let folder = Folder::new("all");
    let inits = "xavier,he,orthogonal,lsuv,iterative,authors,printed,batch_norm";
    for (name, more) in [
        ("dense", "--width 24 --depth 2,4 --runs 2"),
        ("conv", "--conv --width 4 --depth 4 --init-batch 20 --scalar f64 --figure 7"),
    ] {
        let arguments = format!("--quick --images 200 --init {inits} {more}");
        let csv = folder.run(name, &format!("{arguments} --threads 1")).unwrap();
        let other = folder.run("other", &format!("{arguments} --threads 3")).unwrap();
        assert_eq!(csv, other);
        let svg = |name: &str| fs::read_to_string(folder.0.join(format!("{name}.svg"))).unwrap();
        assert_eq!(svg(name), svg("other"));
        for init in inits.split(',') {
            let epoch = |epoch| format!("{init},4,0,{epoch},");
            assert_ne!(field(&csv, &epoch(0), "gradient_error"), "");
            assert!(number(&csv, &epoch(2), "loss") < number(&csv, &epoch(0), "loss") + 0.3);
            assert!((0.0..=1.0).contains(&number(&csv, &epoch(2), "test_accuracy")));
            assert!(number(&csv, &epoch(1), "output_gap") > 0.2);
            assert!(number(&csv, &epoch(2), "first_gradient") > 0.0);
        }
    }
}

/// What the example is about, on digits: behind 30 layers Xavier's logits are parallel, those of
/// the recommended initialisation are not, and it learns.
#[test]
fn orthogonal_networks_learn_at_depths_where_xavier_stalls() {
    let folder = Folder::new("deep");
    let arguments = "--init xavier,iterative --width 64 --depth 30 --epochs 6 --images 1000";
    let csv = folder.run("deep", arguments).unwrap();
    let gap = |init: &str| number(&csv, &format!("{init},30,0,0,"), "output_gap");
    let loss = |init: &str| number(&csv, &format!("{init},30,0,6,"), "loss");
    assert!(gap("xavier") > 0.8 && gap("iterative") < 0.6, "{csv}");
    assert!(loss("iterative") < 0.7 * loss("xavier"), "{csv}");
}

/// Stopped after an epoch and resumed, a run ends as one that was not: the same CSV, figure and
/// state, in both arithmetics, with momentum and running statistics.
#[test]
fn resumed_runs_are_the_same() {
    let folder = Folder::new("resume");
    for scalar in ["f32", "f64"] {
        let arguments = |epochs: usize, checkpoint: &str| {
            format!(
                "--quick --init iterative,batch_norm --images 150 --width 16 --depth 3 --runs 2 \
                 --momentum 0.9 --weight-decay 1e-3 --scalar {scalar} --epochs {epochs} \
                 --checkpoint {}",
                folder.0.join(format!("{scalar}-{checkpoint}")).display()
            )
        };
        let whole = folder.run("whole", &arguments(4, "whole")).unwrap();
        let begun = folder.run("parts", &arguments(2, "parts")).unwrap();
        assert_eq!(begun.lines().count(), 1 + 4 * 3);
        assert_eq!(folder.run("parts", &arguments(4, "parts")).unwrap(), whole);
        for name in ["iterative-depth3-run0", "batch_norm-depth3-run1"] {
            let state = |folder_name: &str| {
                let folder = folder.0.join(format!("{scalar}-{folder_name}"));
                fs::read(folder.join(format!("{name}.checkpoint"))).unwrap()
            };
            assert_eq!(state("whole"), state("parts"));
        }
        let svg = |name: &str| fs::read(folder.0.join(format!("{name}.svg"))).unwrap();
        assert_eq!(svg("whole"), svg("parts"));
        // Nothing is left to do, and fewer epochs are the first ones.
        assert_eq!(folder.run("parts", &arguments(4, "parts")).unwrap(), whole);
        assert_eq!(folder.run("parts", &arguments(2, "parts")).unwrap(), begun);
    }
}

/// What is not the checkpoint of this very run is refused, and left as it is.
#[test]
fn foreign_and_damaged_checkpoints_are_refused() {
    let folder = Folder::new("foreign");
    let base = format!(
        "--quick --init xavier --images 100 --width 8 --depth 2 --checkpoint {}",
        folder.0.display()
    );
    let run = |more: &str| folder.run("x", &format!("{base} {more}"));
    run("").unwrap();
    for (more, entry) in [
        ("--rate 0.02", "rate"),
        ("--batch 20", "batch"),
        ("--momentum 0.5", "momentum"),
        ("--weight-decay 0.5", "weight decay"),
        ("--seed 2", "seed"),
        ("--width 9", "width"),
        ("--scalar f64", "bytes of a number"),
        ("--images 99", "images"),
        ("--init-batch 20", "init batch"),
        ("--conv", "convolutional"),
    ] {
        let error = run(more).unwrap_err();
        let error = error.downcast_ref::<orthogap::Error>().unwrap();
        let orthogap::Error::ConfigurationMismatch { entry: found, .. } = error else {
            panic!("{error}")
        };
        assert_eq!(found, entry);
    }
    let path = folder.0.join("xavier-depth2-run0.checkpoint");
    let good = fs::read(&path).unwrap();
    let refused = |bytes: &[u8], path: &Path| {
        fs::write(path, bytes).unwrap();
        let error = run("").unwrap_err();
        let error = error.downcast_ref::<orthogap::Error>().unwrap();
        assert!(matches!(error, orthogap::Error::Damaged { .. }), "{error}");
        assert_eq!(fs::read(path).unwrap(), bytes);
    };
    for cut in [0, 10, 40, good.len() / 2, good.len() - 1] {
        refused(&good[..cut], &path);
    }
    for at in [3, 35, 60, 500, good.len() - 3] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        refused(&bad, &path);
    }
    refused(b"init,depth\n", &path);
    // Another run's file under this name, whole in itself.
    fs::write(&path, &good).unwrap();
    run("--runs 2").unwrap();
    fs::copy(folder.0.join("xavier-depth2-run1.checkpoint"), &path).unwrap();
    assert!(run("").unwrap_err().to_string().contains("run"));
}

/// A run that diverges is reported, and the others go on.
#[test]
fn divergence_is_an_outcome() {
    let folder = Folder::new("diverged");
    let arguments = format!(
        "--quick --init xavier,batch_norm --rate 1e4 --epochs 3 --images 200 --checkpoint {}",
        folder.0.join("kept").display()
    );
    let csv = folder.run("diverged", &arguments).unwrap();
    let last = csv.lines().rfind(|line| line.starts_with("xavier,6,0,")).unwrap();
    assert!(last.contains("diverged"), "{csv}");
    assert_ne!(field(&csv, "xavier,6,0,0,", "loss"), "");
    assert!(csv.lines().any(|line| line.starts_with("batch_norm,6,0,")));
    assert_eq!(folder.run("diverged", &arguments).unwrap(), csv);
}

/// A run that diverges within an epoch keeps what ran: the losses of the unfinished epoch, and a
/// checkpoint of the last good step, with finite parameters, from which it resumes to the same bits.
#[test]
fn divergence_keeps_what_ran() {
    let folder = Folder::new("kept");
    // In `f64` a smaller rate rather kills all neurons.
    for (scalar, rate) in [("f32", "1e4"), ("f64", "1e150")] {
        let kept = folder.0.join(scalar);
        let arguments = format!(
            "--quick --init xavier --rate {rate} --momentum 0.9 --images 200 --batch 20 --depth 2 \
             --scalar {scalar} --checkpoint {}",
            kept.display()
        );
        let options = options(&arguments).unwrap();
        let csv = folder.run(scalar, &arguments).unwrap();
        let last = csv.lines().last().unwrap();
        assert!(last.contains("diverged"), "{last}");
        let unfinished = csv.lines().count() - 2;
        assert!(number(&csv, &format!("xavier,2,0,{unfinished},"), "loss") > 0.0, "{csv}");
        assert_eq!(folder.run(scalar, &arguments).unwrap(), csv);
        let finite = match scalar {
            "f32" => resumed_is_finite::<f32>(&options),
            _ => resumed_is_finite::<f64>(&options),
        };
        assert!(finite);
    }
}

/// Whether a run ended, and its checkpoint holds finite parameters alone.
fn resumed_is_finite<T: Scalar>(options: &Options) -> bool {
    let data = Data::<T>::load(options).unwrap();
    let job = jobs(options)[0];
    let (course, trainer) =
        checkpoint::Checkpoint::of(job, options, &data).load().unwrap().unwrap();
    let finite = |weights: &nalgebra::DMatrix<T>| weights.iter().all(|w| w.is_finite());
    let classifier = trainer.classifier();
    course.ended.is_some()
        && (0..classifier.depth()).all(|layer| finite(classifier.weights(layer)))
        && finite(classifier.head())
        && trainer.velocity().weight_norms().iter().all(|norm| norm.is_finite())
}

/// Deep batch normalisation of four samples leaves no digit of a gradient in `f32`.
#[test]
fn untrusted_gradients_and_the_scale_are_told() {
    let options = options(
        "--quick --figure 4 --init xavier,batch_norm --batch 4 --depth 40 --images 8 --epochs 1",
    )
    .unwrap();
    let data = Data::<f32>::load(&options).unwrap();
    let scale = report::scale(&options, &data);
    assert!(scale.starts_with("The paper, Fig. 4: Xavier and iterative"), "{scale}");
    assert!(scale.contains("\nHere: 8 handwritten digits to train on and 297"), "{scale}");
    assert!(scale.contains("width 32, depth 40, batch 4, step 0.01, 1 epochs, 1 run, f32"));
    let courses = simulate(&options, &data).unwrap();
    let runs: Vec<_> = jobs(&options).into_iter().zip(courses).collect();
    let table = report::table(&options, &report::outcomes(&options, &runs));
    let warnings: Vec<_> = table.lines().filter(|line| line.starts_with("Warning: ")).collect();
    assert_eq!(warnings.len(), 1, "{table}");
    assert!(warnings[0].contains("gradients of batch_norm at depth 40"), "{table}");
}
