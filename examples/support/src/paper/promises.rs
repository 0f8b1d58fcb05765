//! Tests that hold for every figure of the paper.

use super::{Comparison, Experiment, Options, Paper};
use crate::command::{self, Result};

/// The options of a command line.
pub fn options(paper: &Paper, arguments: &str) -> Result<Options> {
    command::typed_as(paper.command(), arguments)
}

/// Options override defaults, and a wrong option gets one clear line.
pub fn options_are_read_or_refused_in_one_line(paper: &Paper) {
    let given = options(paper, "--quick --runs 7 --seed 9 --csv a.csv --svg=b.svg").unwrap();
    assert_eq!((given.runs, given.seed.0, given.json), (7, 9, None));
    assert_eq!((given.csv, given.svg), ("a.csv".into(), "b.svg".into()));
    let quick = options(paper, "--quick").unwrap();
    assert_eq!(quick.runs, paper.runs.1);
    assert!(quick.csv.ends_with(format!("{}.csv", paper.name)));
    let help = paper.command().render_help().to_string();
    assert!(help.starts_with(paper.about));
    assert_eq!(help.contains("--data"), paper.images);
    for arguments in
        ["--bogus", "--csv", "--runs 1", "--seed -1", "--quick=yes", "3", "--data mnist"]
    {
        let error = options(paper, arguments).err().map(|error| error.to_string());
        assert!(error.is_some_and(|error| !error.contains('\n')), "{arguments}");
    }
}

/// The whole job on one thread and on three: equal files. Returns the CSV and the SVG.
pub fn files_do_not_depend_on_threads(
    paper: &Paper,
    experiment: Experiment,
    arguments: &str,
) -> [String; 2] {
    let name = format!("orthogap-{}-{}", paper.name, std::process::id());
    let folder = std::env::temp_dir().join(name);
    let files = [1, 3].map(|threads| {
        let [csv, json, svg] =
            ["csv", "jsonl", "svg"].map(|kind| folder.join(format!("{threads}.{kind}")));
        let options = options(paper, arguments).unwrap();
        let paths = (csv.clone(), Some(json.clone()), svg.clone());
        let options = Options { threads, csv: paths.0, json: paths.1, svg: paths.2, ..options };
        paper.work(&options, experiment).unwrap();
        [csv, json, svg].map(|path| std::fs::read_to_string(path).unwrap())
    });
    std::fs::remove_dir_all(folder).unwrap();
    assert_eq!(files[0], files[1]);
    let [[csv, json, svg], _] = files;
    assert_eq!(json.lines().count(), csv.lines().count() - 1);
    assert!(svg.starts_with("<svg ") && !svg.contains("NaN"));
    [csv, svg]
}

/// Known numbers agree within 4.5 standard errors: one false alarm in 150 000 comparisons.
pub fn numbers_are_as_known(comparisons: &[Comparison], at_least: usize) {
    let known: Vec<_> = comparisons.iter().filter_map(|it| Some((it, it.z()?))).collect();
    assert!(known.len() >= at_least, "{} comparisons", known.len());
    for (Comparison { quantity, measured, known, .. }, z) in known {
        assert!(z.abs() < 4.5, "{quantity}: {measured} is {z} from {known:?}");
    }
}
