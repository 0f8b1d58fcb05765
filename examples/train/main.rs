//! Compares initialisations in training: loss, accuracy, orthogonality gap and gradients per
//! epoch, on digits or CIFAR-10; the protocols of the paper's Figures 3, 4 and 7.
//!
//! A table, a CSV with every epoch of every run, and a figure. `--help` lists the options.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use orthogap::Scalar;
use orthogap::report::file;
use orthogap_examples::command::{self, Precision, Result};
use orthogap_examples::{artifact, memory, say};

mod checkpoint;
mod course;
mod data;
mod init;
mod options;
mod report;
#[cfg(test)]
mod tests;

use course::{Course, Job, Record};
use data::Data;
use options::{Arguments, Options};

/// Trains all networks, several at a time; the result does not depend on the number of threads.
fn simulate<T: Scalar>(options: &Options, data: &Data<T>) -> Result<Vec<Course>> {
    let jobs = jobs(options);
    let cost = |job: &Job, images: usize| (job.depth * images) as u64;
    let whole = |job: &Job| cost(job, options.epochs * data.train.labels.len());
    let style = ProgressStyle::with_template("{bar:40} {percent} %, {msg} runs, {eta} left")?;
    let progress = ProgressBar::new(jobs.iter().map(whole).sum()).with_style(style);

    let (threads, workers) = threads_and_workers(options)?;
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let results: Vec<_> = jobs.iter().map(|_| Mutex::new(None)).collect();
    let show = || {
        let done = done.load(Ordering::Relaxed);
        progress.set_message(format!("{done} of {}", jobs.len()));
    };
    show();
    let work = || {
        // Each run has its own threads, so none waits for the products of another.
        let share = threads.div_ceil(workers);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(share).build()?;
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = jobs.get(index) else {
                return Ok::<_, rayon::ThreadPoolBuildError>(());
            };
            let ticks = AtomicUsize::new(0);
            let told = |images| {
                ticks.fetch_add(images, Ordering::Relaxed);
                progress.inc(cost(job, images));
            };
            let course = pool.install(|| course::train(*job, options, data, told));
            progress.inc(whole(job) - cost(job, ticks.into_inner()));
            done.fetch_add(1, Ordering::Relaxed);
            show();
            *results[index].lock().expect("nobody panics here") = Some(course);
        }
    };
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        handles.into_iter().try_for_each(|handle| handle.join().expect("no run panics"))
    })?;
    progress.finish_and_clear();
    let courses = results.into_iter().map(|course| {
        let course = course.into_inner().expect("nobody panics here");
        Ok(course.expect("every job was done")?)
    });
    courses.collect()
}

/// The threads, and how many runs they do at a time.
fn threads_and_workers(options: &Options) -> std::io::Result<(usize, usize)> {
    let threads = match options.threads {
        0 => std::thread::available_parallelism()?.get(),
        threads => threads,
    };
    let cases = options.depths.len() * options.inits.len();
    Ok((threads, threads.min(cases.saturating_mul(options.runs as usize))))
}

/// Run by run, deep networks first: they take longest.
fn jobs(options: &Options) -> Vec<Job> {
    let mut jobs = Vec::new();
    for run in 0..options.runs {
        for &depth in &options.depths {
            jobs.extend(options.inits.iter().map(|&init| Job { init, depth, run }));
        }
    }
    jobs.sort_by_key(|job| (job.run, usize::MAX - job.depth));
    jobs
}

fn experiment(options: &Options) -> Result<()> {
    match options.precision {
        Precision::Single => experiment_in::<f32>(options),
        Precision::Double => experiment_in::<f64>(options),
    }
}

fn experiment_in<T: Scalar>(options: &Options) -> Result<()> {
    let started = Instant::now();
    options.optimizer.check::<T>()?;
    // Any file name shows whether the folder can be written to.
    let checkpoint = options.checkpoint.iter().map(|folder| folder.join("any.checkpoint"));
    file::check([&options.csv, &options.svg].into_iter().cloned().chain(checkpoint))?;
    let fan_in =
        if options.convolutional { options.width.saturating_mul(9) } else { options.width };
    let deepest = options.depths.iter().copied().max().unwrap_or(0);
    let (_, workers) = threads_and_workers(options)?;
    let parameters = [workers, 3, deepest, options.width, fan_in]; // weights, velocity and gradient
    memory::check("the parameters of the networks in training", &parameters, size_of::<T>())?;
    let cases = options.depths.len() * options.inits.len();
    let records = [options.runs as usize, cases, options.epochs.saturating_add(1)];
    memory::check("the records of all epochs", &records, size_of::<Record>())?;
    let data = Data::<T>::load(options)?;
    say!("{}", report::scale(options, &data));
    let courses = simulate(options, &data)?;
    let runs: Vec<_> = jobs(options).into_iter().zip(courses).collect();
    let outcomes = report::outcomes(options, &runs);
    say!("{}", report::table(options, &outcomes));
    let (csv, svg) = (report::csv(&outcomes), report::svg(options, &outcomes, data.name));
    artifact::publish([(&*options.csv, Some(csv.into())), (&*options.svg, svg.map(Into::into))])?;
    say!("{} runs in {:.1?}", runs.len(), started.elapsed());
    Ok(())
}

fn main() -> ExitCode {
    command::run(|arguments: Arguments| experiment(&arguments.options()?))
}
