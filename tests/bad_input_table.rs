//! The table of refusals: for every corner of the public interface, bad input and the exact message
//! it gets. `bad_input` has the cases that need more than a line.

use nalgebra::{DMatrix, dmatrix, dvector};
use orthogap::Activation::{Identity, LeakyRelu, Relu, Tanh};
use orthogap::backward::{Scaled, Tape};
use orthogap::chain::{Communicator, SingleProcess};
use orthogap::convolution::{Convolution, Images, Pooling};
use orthogap::experiment::critical_width;
use orthogap::experiment::{ChainExperiment, Ensemble, Metric, Precision, Summary, from_fn};
use orthogap::normalization::{
    BatchNorm, Centering, Normalization, SampleNorm, TrainableBatchNorm,
};
use orthogap::statistics::{BatchMeans, Line, Moments, Weighting};
use orthogap::theory::bounds::{self, A1, Version, Width};
use orthogap::theory::mean_field;
use orthogap::theory::mean_field_activation::{Kernel, equiangular_point, quasi_monte_carlo};
use orthogap::theory::{haar, stationary, wasserstein_law};
use orthogap::train::init::{IterativeOrthogonalization, LayerwiseInit, Lsuv, Scale};
use orthogap::train::{Classifier, Loss, Sgd, Trainer};
use orthogap::wasserstein::{self, Directions, MatrixLaw, RowMoments, Sample};
use orthogap::weights::{Gaussian, Haar, Spherical, Uniform};
use orthogap::{Activation, Error, Gram, Input, Network, Order, Residual, Result, Seed, metric};

/// Rows of what is done, how, and what it must print.
macro_rules! refusals {
    ($($name:literal: $try:expr => $expected:literal;)*) => {
        check(&[$(($name, || refused($try), $expected)),*])
    };
}

type Row = (&'static str, fn() -> Result<()>, &'static str);

fn check(table: &[Row]) {
    let mut wrong = String::new();
    for (name, fails, expected) in table {
        let found = match fails() {
            Ok(()) => "no error".to_owned(),
            Err(error) => error.to_string(),
        };
        if found != *expected {
            wrong += &format!("\n{name}\n    printed  {found}\n    expected {expected}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Forgets the value that should not be there.
fn refused<T>(result: Result<T>) -> Result<()> {
    result.map(drop)
}

fn zeros(rows: usize, columns: usize) -> DMatrix<f64> {
    DMatrix::zeros(rows, columns)
}

fn wide() -> Network<f64> {
    Network::new(8)
}

fn four() -> Input {
    Input::orthogonal(4).expect("four orthogonal samples")
}

#[test]
fn inputs() {
    refusals! {
        "no samples": Input::orthogonal(0) => "a 0 x 0 matrix holds no batch";
        "no columns": Input::from_columns(&zeros(5, 0)) => "a 5 x 0 matrix holds no batch";
        "no rows": Input::from_columns(&zeros(0, 2)) => "a 0 x 2 matrix holds no batch";
        "a NaN": Input::from_columns(&dmatrix![1.0, f64::NAN])
            => "entry (0, 1) is NaN, not a finite number";
        "an infinity": Input::from_columns(&dmatrix![1.0f32; f32::NEG_INFINITY])
            => "entry (1, 0) is -inf, not a finite number";
        "zeros": Input::from_columns(&zeros(3, 2)) => "all entries of the 3 x 2 matrix are zero";
        "a zero sample": Input::from_columns(&dmatrix![1.0, 0.0; 2.0, 0.0])
            => "column 1 (a sample) is zero and has no direction";
        "twins": Input::from_columns(&dmatrix![1.0, 1.0; 2.0, 2.0])
            => "the 2 columns (samples) are linearly dependent, of numerical rank 1: transpose the matrix if its rows are samples; Input::from_gram takes dependent ones";
        "n > d": Input::gaussian(3, 5, Seed(1))
            => "the 5 columns (samples) are linearly dependent, of numerical rank 3: transpose the matrix if its rows are samples; Input::from_gram takes dependent ones";
        "no features": Input::gaussian(0, 5, Seed(1)) => "a 0 x 5 matrix holds no batch";
        "samples without memory": Input::gaussian(1 << 33, 1 << 33, Seed(1))
            => "dimension x batch size = 73786976294838210000 is invalid: expected at most 2^40 numbers in a matrix";
        "orthogonal without memory": Input::orthogonal(1 << 32)
            => "dimension x batch size = 18446744073709552000 is invalid: expected at most 2^40 numbers in a matrix";
        "spiked by nothing": Input::spiked(4, 0.0)
            => "epsilon = 0 is invalid: expected 0 < epsilon <= 1";
        "spiked too much": Input::spiked(4, 1.5)
            => "epsilon = 1.5 is invalid: expected 0 < epsilon <= 1";
        "a NaN spike": Input::near_collinear(4, f64::NAN)
            => "epsilon = NaN is invalid: expected 0 < epsilon <= 1";
        "a spike that underflows": Input::near_collinear(2, 1e-320)
            => "the 2 columns (samples) are linearly dependent, of numerical rank 1: transpose the matrix if its rows are samples; Input::from_gram takes dependent ones";
        "a factor of nothing": Gram::from_factor(zeros(0, 3)) => "a 0 x 3 matrix holds no batch";
        "a NaN in a factor": Gram::from_factor(dmatrix![1.0; f64::NAN])
            => "entry (1, 0) is NaN, not a finite number";
        "a zero factor": Gram::from_factor(zeros(2, 2))
            => "all entries of the 2 x 2 matrix are zero";
        "the gap of nothing": metric::orthogonality_gap(&zeros(2, 0))
            => "a 2 x 0 matrix holds no batch";
        "the rank of an infinity": metric::stable_rank(&dmatrix![f64::INFINITY])
            => "entry (0, 0) is inf, not a finite number";
        "the angle to no sample": four().gram().cosine(0, 4)
            => "sample = 4 is invalid: expected an index below the batch size";
        "the angle to zero": Gram::from_columns(&dmatrix![1.0, 0.0])?.cosine(0, 1)
            => "column 1 (a sample) is zero and has no direction";
    }
}

#[test]
fn recipes() {
    refusals! {
        "width 0": Network::<f64>::new(0).chain(&four(), Seed(1))
            => "width = 0 is invalid: expected a width from 1 to 2^40";
        "weights that vanish": Network::<f64>::new(4).with_weights(Gaussian::new(5e-324)?).chain(&four(), Seed(1))
            => "size of weights = 0 is invalid: expected weights above 1e-300, of which logarithms and squares keep \
                their digits";
        "width 0 on a tape": {
            let nothing = Network::new(0);
            refused(Tape::new(&nothing, 1, zeros(4, 2).into(), None, &zeros(0, 4)))
        } => "width = 0 is invalid: expected a width from 1 to 2^40";
        "one sample, centred after another layer": {
            let input = Input::gaussian(4, 1, Seed(1))?;
            let mut chain = wide().explicit_chain(&input, Seed(1))?;
            refused(chain.then(wide().with_normalization(Normalization::MeanOnly)))
        } => "a batch of 1 is too small: at least 2 needed";
        "width 0 after another": wide().explicit_chain(&four(), Seed(1))?.then(Network::new(0)).map(drop)
            => "width = 0 is invalid: expected a width from 1 to 2^40";
        "width 0 in a classifier": Classifier::new([(Network::new(0), zeros(0, 4))], zeros(3, 0))
            => "width = 0 is invalid: expected a width from 1 to 2^40";
        "no end of layers": {
            let network = Network::<f32>::new(8).with_weights(Spherical::new(1e-60)?);
            refused(network.gradient_norms(&four(), Seed(1), usize::MAX))
        } => "size of weights = 0.000000000000000000000000000000000000000000000000000000000001 is invalid: expected weights in the range of their number type";
        "no end of terms": {
            let network = Network::<f32>::new(8)
                .with_normalization(Normalization::None)
                .with_weights(Spherical::new(1e-60)?);
            refused(network.tangent_kernel(&four(), Seed(1), usize::MAX))
        } => "size of weights = 0.000000000000000000000000000000000000000000000000000000000001 is invalid: expected weights in the range of their number type";
        "weights that vanish in single precision": {
            let network = Network::<f32>::new(8).with_weights(Spherical::new(1e-60)?);
            refused(network.explicit_chain(&four(), Seed(1))?.step())
        }
            => "size of weights = 0.000000000000000000000000000000000000000000000000000000000001 is invalid: expected weights in the range of their number type";
        "samples that centring makes zero": {
            let twins = Input::from_gram(Gram::from_factor(dmatrix![1.0, 1.0])?);
            let centered = BatchNorm::standard(1e-5)?;
            refused(wide().with_normalization(centered).chain(&twins, Seed(1))?.step())
        } => "all 2 samples are zero at layer 1";
        "too wide": Network::<f64>::new((1 << 40) + 1).chain(&four(), Seed(1))
            => "width = 1099511627777 is invalid: expected a width from 1 to 2^40";
        "one centred sample": {
            let centered = BatchNorm::paper().with_centering(Centering::Batch);
            let network = wide().with_normalization(centered);
            refused(network.chain(&Input::orthogonal(1)?, Seed(1)))
        } => "a batch of 1 is too small: at least 2 needed";
        "images that are none": {
            let network = wide().with_convolution(Convolution::new(3)?, Images::new(3, 2, 2)?);
            refused(network.chain(&four(), Seed(1)))
        } => "the batch of images is 4 x 4, expected 12 x 4";
        "pooled to nothing": {
            let images = Images::new(1, 2, 2)?;
            let network = wide().with_convolution(Convolution::new(1)?, images);
            let network = network.clone().with_pooling(Pooling::max(3)?);
            refused(network.chain(&four(), Seed(1)))
        } => "pooling window = 3 is invalid: expected a window no larger than the image";
        "pooling without images": {
            let network = wide().with_pooling(Pooling::max(2)?);
            refused(network.chain(&four(), Seed(1)))
        }
            => "pooling needs a network with a convolution: only images can be pooled";
        "a dense layer pooled after images": {
            let images = Images::new(1, 2, 2)?;
            let network = wide().with_convolution(Convolution::new(1)?, images);
            let mut chain = network.explicit_chain(&four(), Seed(1))?;
            refused(chain.then(wide().with_pooling(Pooling::max(2)?)))
        }
            => "pooling needs a network with a convolution: only images can be pooled";
        "a classifier that pools no images":
            Classifier::sample(&[wide().with_pooling(Pooling::max(2)?)], 4, 2, Seed(1))
            => "pooling needs a network with a convolution: only images can be pooled";
        "groups that do not divide": {
            let network = wide().with_normalization(SampleNorm::group(3, 0.0)?);
            refused(network.chain(&four(), Seed(1))?.step())
        } => "groups = 3 is invalid: expected a divisor of the number of features or channels";
        "an infinite branch": Residual::new(f64::INFINITY)
            => "residual weight = inf is invalid: expected a finite weight of the branch";
        "a NaN branch": Residual::new(f64::NAN)
            => "residual weight = NaN is invalid: expected a finite weight of the branch";
        "a branch of depth 0": Residual::depth_scaled(1.0, 0)
            => "depth = 0 is invalid: expected at least 1";
        "a branch that a layer makes NaN": {
            let network = wide().with_residual(Residual::by_layer(|_| f64::NAN));
            refused(network.chain(&four(), Seed(1))?.advance(2))
        } => "residual weight = NaN is invalid: expected a finite weight of the branch";
        "constant features": {
            let flat = Input::from_columns(&dmatrix![1.0, 1.0; 2.0, 3.0])?;
            let network = wide().with_normalization(BatchNorm::standard(0.0)?);
            refused(network.clone().with_order(Order::NormActivationLinear).chain(&flat, Seed(1)))
        }
            => "row 0 is constantly 5.163977794943222e-1 over the batch: its normalisation needs a positive epsilon";
        "an infinite slope": {
            let network = wide().with_activation(LeakyRelu { slope: f64::INFINITY });
            refused(network.chain(&four(), Seed(1)))
        }
            => "slope = inf is invalid: expected a slope that is finite in f32";
        "a NaN slope": "leaky_relu(NaN)".parse::<Activation>()
            => "slope = NaN is invalid: expected a slope that is finite in f32";
        "a gradient of another shape":
            wide().gradient_norms_of(&four(), Seed(1), 2, |_| zeros(8, 3))
            => "the gradient is 8 x 3, expected 8 x 4";
        "a NaN gradient":
            wide().gradient_norms_of(&four(), Seed(1), 2, |_| DMatrix::from_element(8, 4, f64::NAN))
            => "entry (0, 0) is NaN, not a finite number";
        "a gradient without a unit":
            wide().gradient_norms_of(&four(), Seed(1), 2, |_| Scaled::new(DMatrix::identity(8, 4), f64::NAN))
            => "log unit = NaN is invalid: expected a finite number";
        "layers without weights":
            Tape::new(&wide(), 1, DMatrix::<f64>::identity(4, 4).into(), None, &zeros(8, 3))
            => "the weight matrix is 8 x 3, expected 8 x 4";
        "growth of one": critical_width::growth_rate(1, 9, 9999, Seed(1))
            => "a batch of 1 is too small: at least 2 needed";
        "growth in few layers": critical_width::growth_rate(4, 9, 639, Seed(1))
            => "layers = 639 is invalid: expected at least 160 n layers";
        "a critical width of one": critical_width::estimate(1, 9999, Seed(1))
            => "a batch of 1 is too small: at least 2 needed";
    }
}

#[test]
fn images() {
    refusals! {
        "no channels": Images::new(0, 2, 2) => "channels = 0 is invalid: expected at least 1";
        "no height": Images::new(1, 0, 2) => "height = 0 is invalid: expected at least 1";
        "an image that overflows": Images::new(usize::MAX, 2, 2)
            => "channels x height x width = 73786976294838210000 is invalid: expected at most 2^40 numbers in an image";
        "half an image": Images::new(2, 3, 3)?.batch_size(&zeros(2, 13))
            => "the batch of images is 2 x 13, expected 2 x 18";
        "no images": Images::new(2, 3, 3)?.batch_size(&zeros(2, 0))
            => "a 2 x 0 matrix holds no batch";
        "other channels": Images::new(2, 3, 3)?.flatten(&zeros(3, 9))
            => "the batch of images is 3 x 9, expected 2 x 9";
        "flat images": Images::new(2, 3, 3)?.unflatten(zeros(17, 1))
            => "the batch of flattened images is 17 x 1, expected 18 x 1";
        "NCHW": Images::new(2, 3, 3)?.batch_from_nchw(&zeros(19, 1))
            => "the batch of flattened images is 19 x 1, expected 18 x 1";
        "no kernel": Convolution::new(0)
            => "kernel = 0 is invalid: expected a kernel side from 1 to 1024";
        "a huge kernel": Convolution::new(1025)
            => "kernel = 1025 is invalid: expected a kernel side from 1 to 1024";
        "no stride": Convolution::new(3)?.with_stride(0)
            => "stride = 0 is invalid: expected at least 1";
        "too much padding": Convolution::new(3)?.with_padding_width(3)
            => "padding width = 3 is invalid: expected less than the kernel side";
        "a kernel larger than the image":
            Convolution::new(9)?.with_padding_width(0)?.output(Images::new(1, 2, 20)?, 4)
            => "kernel = 9 is invalid: expected a kernel no larger than the padded image";
        "no output channels": Convolution::new(3)?.output(Images::new(1, 4, 4)?, 0)
            => "channels = 0 is invalid: expected at least 1";
        "windows of a NaN": {
            let image = DMatrix::from_element(1, 4, f64::NAN);
            refused(Convolution::new(1)?.unfold(Images::new(1, 2, 2)?, &image))
        } => "entry (0, 0) is NaN, not a finite number";
        "weights of another shape":
            Convolution::new(1)?.apply(Images::new(1, 2, 2)?, &zeros(3, 2), &zeros(1, 4))
            => "the weight matrix is 3 x 2, expected 3 x 1";
        "weights of another order": Convolution::new(2)?.weights_from_oihw(&zeros(3, 7))
            => "the weight matrix is 3 x 7, expected 3 x 8";
        "patches of another shape": Convolution::new(1)?.fold(Images::new(1, 2, 2)?, &zeros(2, 4))
            => "the batch of patches is 2 x 4, expected 1 x 4";
        "a product that overflows": {
            let (image, weight) = (DMatrix::from_element(1, 4, 1e200), dmatrix![1e200]);
            refused(Convolution::new(1)?.apply(Images::new(1, 2, 2)?, &weight, &image))
        } => "the convolution of row 0, inf, exceeds the range of its type";
        "no window": Pooling::average(0) => "pooling window = 0 is invalid: expected at least 1";
        "a large window": Pooling::max(3)?.output(Images::new(1, 2, 9)?)
            => "pooling window = 3 is invalid: expected a window no larger than the image";
        "half an image, pooled": Pooling::max(1)?.apply(Images::new(1, 2, 2)?, &zeros(1, 3))
            => "the batch of images is 1 x 3, expected 1 x 4";
        "the gradient of a pool": {
            let images = Images::new(1, 2, 2)?;
            refused(Pooling::max(2)?.adjoint(images, &zeros(1, 4), &zeros(1, 2)))
        } => "the gradient is 1 x 2, expected 1 x 1";
        "a pool that overflows": {
            let image = DMatrix::from_element(1, 4, f64::MAX);
            refused(Pooling::average(2)?.apply(Images::new(1, 2, 2)?, &image))
        } => "the pooled images of row 0, inf, exceeds the range of its type";
    }
}

#[test]
fn normalizations() {
    refusals! {
        "a negative epsilon": BatchNorm::standard(-1e-5)
            => "epsilon = -0.00001 is invalid: expected a finite number >= 0";
        "a NaN epsilon": BatchNorm::paper().with_epsilon(f64::NAN)
            => "epsilon = NaN is invalid: expected a finite number >= 0";
        "an infinite epsilon": SampleNorm::layer(f64::INFINITY)
            => "epsilon = inf is invalid: expected a finite number >= 0";
        "no groups": SampleNorm::group(0, 0.0)
            => "groups = 0 is invalid: expected at least one group";
        "a zero row": BatchNorm::paper().normalize(&dmatrix![1.0, 2.0; 0.0, 0.0])
            => "row 1 is constantly 0e0 over the batch: its normalisation needs a positive epsilon";
        "a constant row": BatchNorm::standard(0.0)?.normalize(&dmatrix![3.0, 3.0])
            => "row 0 is constantly 3e0 over the batch: its normalisation needs a positive epsilon";
        "a NaN": BatchNorm::paper().normalize(&dmatrix![1.0, f64::NAN])
            => "entry (0, 1) is NaN, not a finite number";
        "one sample": BatchNorm::standard(0.0)?.normalize(&dmatrix![3.0])
            => "a batch of 1 is too small: at least 2 needed";
        "no batch": BatchNorm::paper().normalize(&zeros(2, 0)) => "a 2 x 0 matrix holds no batch";
        "room of another shape":
            BatchNorm::paper().normalize_to(&dmatrix![1.0, 2.0], &mut zeros(2, 2))
            => "output is 2 x 2, expected 1 x 2";
        "a gradient of another shape":
            BatchNorm::paper().pullback(&dmatrix![1.0, 2.0], &zeros(2, 2))
            => "the gradient is 2 x 2, expected 1 x 2";
        "a constant sample": SampleNorm::layer(0.0)?.normalize(&dmatrix![2.0; 2.0])
            => "sample 0 is constantly 2e0 over features: its normalisation needs a positive epsilon";
        "a zero sample": SampleNorm::rms(0.0)?.normalize(&dmatrix![0.0; 0.0])
            => "sample 0 is constantly 0e0 over features: its normalisation needs a positive epsilon";
        "no sample": SampleNorm::rms(0.0)?.normalize(&zeros(0, 3))
            => "a 0 x 3 matrix holds no batch";
        "groups of nothing": SampleNorm::group(3, 0.0)?.normalize(&zeros(4, 2))
            => "groups = 3 is invalid: expected a divisor of the number of features or channels";
        "no width": TrainableBatchNorm::<f64>::new(0, 0.0, 0.1)
            => "width = 0 is invalid: expected a width of at least 1";
        "momentum above one": TrainableBatchNorm::<f64>::new(2, 0.0, 1.5)
            => "momentum = 1.5 is invalid: expected 0 <= momentum <= 1";
        "a NaN momentum": TrainableBatchNorm::<f64>::new(2, 0.0, f64::NAN)
            => "momentum = NaN is invalid: expected 0 <= momentum <= 1";
        "another width": TrainableBatchNorm::new(2, 0.0, 0.1)?.train(&dmatrix![1.0, 2.0])
            => "the batch is 1 x 2, expected 2 x 2";
        "one sample to train": TrainableBatchNorm::new(1, 0.1, 0.1)?.train(&dmatrix![1.0])
            => "a batch of 1 is too small: at least 2 needed";
        "a NaN to infer": TrainableBatchNorm::new(1, 0.1, 0.1)?.infer(&dmatrix![f64::NAN])
            => "entry (0, 0) is NaN, not a finite number";
        "a negative variance": {
            let norm = TrainableBatchNorm::new(1, 0.1, 0.1)?;
            refused(norm.with_running_statistics(dvector![0.0], dvector![-1.0]))
        } => "running variance = -1 is invalid: expected a finite number >= 0";
        "no variance and no epsilon": {
            let norm = TrainableBatchNorm::new(1, 0.0, 0.1)?;
            let norm = norm.with_running_statistics(dvector![0.0], dvector![0.0])?;
            refused(norm.infer(&dmatrix![1.0, 2.0]))
        } => "row 0 is constantly 0e0 over the batch: its normalisation needs a positive epsilon";
        "a NaN scale": {
            let mut norm = TrainableBatchNorm::new(1, 0.1, 0.1)?;
            norm.gamma_mut()[0] = f64::NAN;
            refused(norm.infer(&dmatrix![1.0, 2.0]))
        } => "gamma = NaN is invalid: expected a finite number";
    }
}

#[test]
fn weights() {
    refusals! {
        "gain 0": Gaussian::new(0.0) => "gain = 0 is invalid: expected a positive finite number";
        "a negative gain": Haar::new(-1.0)
            => "gain = -1 is invalid: expected a positive finite number";
        "a NaN gain": Spherical::new(f64::NAN)
            => "gain = NaN is invalid: expected a positive finite number";
        "an infinite gain": Uniform::he().with_gain(f64::INFINITY)
            => "gain = inf is invalid: expected a positive finite number";
        "power 0": IterativeOrthogonalization::recommended().with_power(0.0)
            => "power = 0 is invalid: expected a number above 0, at most 1";
        "power above one": IterativeOrthogonalization::recommended().with_power(1.5)
            => "power = 1.5 is invalid: expected a number above 0, at most 1";
        "scale 0": IterativeOrthogonalization::recommended().with_scale(Scale::RootMeanSquare(0.0))
            => "root mean square = 0 is invalid: expected a positive finite number";
        "an empty batch": LayerwiseInit::new(zeros(3, 0), Seed(1)) => "a 3 x 0 matrix holds no batch";
        "a zero batch": LayerwiseInit::new(zeros(3, 2), Seed(1))
            => "all entries of the 3 x 2 matrix are zero";
        "a NaN batch": LayerwiseInit::new(dmatrix![f64::NAN], Seed(1))
            => "entry (0, 0) is NaN, not a finite number";
        "half an image": LayerwiseInit::of_images(Images::new(1, 2, 2)?, zeros(1, 3), Seed(1))
            => "the batch of images is 1 x 3, expected 1 x 4";
        "a dense layer of width 0": {
            let mut stack = LayerwiseInit::new(dmatrix![1.0, 2.0], Seed(1))?;
            refused(stack.dense(&Gaussian::he(), 0, &Identity))
        } => "width = 0 is invalid: expected at least 1";
        "a convolution of no images": {
            let mut stack = LayerwiseInit::new(dmatrix![1.0, 2.0], Seed(1))?;
            refused(stack.convolution(&Gaussian::he(), Convolution::new(3)?, 4, &Relu))
        }
            => "a convolution or pooling needs images before it, not plain columns: begin with of_images";
        "a pool of no images": LayerwiseInit::new(dmatrix![1.0, 2.0], Seed(1))?.pool(Pooling::max(1)?)
            => "a convolution or pooling needs images before it, not plain columns: begin with of_images";
        "a convolution to no channels": {
            let mut stack =
                LayerwiseInit::of_images(Images::new(1, 1, 2)?, dmatrix![1.0, 2.0], Seed(1))?;
            refused(stack.convolution(&Lsuv, Convolution::new(3)?, 0, &Relu))
        } => "channels = 0 is invalid: expected at least 1";
        "a batch that overflows its weights": {
            let mut stack = LayerwiseInit::new(dmatrix![1e-310, 2e-310], Seed(1))?;
            refused(stack.dense(&Lsuv, 2, &Identity))
        } => "the weights of row 0, inf, exceeds the range of its type";
        "the largest numbers": {
            let mut stack = LayerwiseInit::new(dmatrix![f64::MAX, f64::MAX; f64::MAX, 1.0], Seed(1))?;
            refused(stack.dense(&Gaussian::new(4.0)?, 2, &Identity))
        } => "entry (0, 0) is NaN, not a finite number";
        "the largest numbers, iteratively": {
            let mut stack = LayerwiseInit::new(dmatrix![f64::MAX, f64::MAX; f64::MAX, 1.0], Seed(1))?;
            refused(stack.dense(&IterativeOrthogonalization::recommended(), 2, &Identity))
        } => "entry (0, 0) is NaN, not a finite number";
    }
}

type Small = Classifier<f64>;

fn classifier() -> Result<Small> {
    let recipe =
        Network::new(4).with_activation(Tanh).with_normalization(BatchNorm::standard(1e-5)?);
    Classifier::sample(&[recipe], 3, 2, Seed(1))
}

fn trainer() -> Result<Trainer<f64>> {
    Ok(Trainer::new(classifier()?, Sgd::new(0.1)?, Seed(1)))
}

fn batch() -> DMatrix<f64> {
    dmatrix![1.0, 0.5, 0.1; 0.2, -1.0, 0.3; 0.0, 0.4, -2.0]
}

#[test]
fn training() {
    refusals! {
        "a negative rate": Sgd::new(-0.1)
            => "learning rate = -0.1 is invalid: expected a finite number >= 0";
        "a NaN rate": Sgd::new(0.1)?.with_learning_rate(f64::NAN)
            => "learning rate = NaN is invalid: expected a finite number >= 0";
        "momentum one": Sgd::new(0.1)?.with_momentum(1.0)
            => "momentum = 1 is invalid: expected 0 <= momentum < 1";
        "an infinite decay": Sgd::new(0.1)?.with_weight_decay(f64::INFINITY)
            => "weight decay = inf is invalid: expected a finite number >= 0";
        "no layers": Classifier::sample(&[] as &[Network<f64>], 3, 2, Seed(1))
            => "a 0 x 0 matrix holds no batch";
        "no dimension": Classifier::sample(&[vanilla()], 0, 2, Seed(1))
            => "a 8 x 0 matrix holds no batch";
        "no classes": Classifier::sample(&[vanilla()], 3, 0, Seed(1))
            => "a 0 x 8 matrix holds no batch";
        "no neurons": Classifier::sample(&[Network::<f64>::new(0)], 3, 2, Seed(1))
            => "width = 0 is invalid: expected a width from 1 to 2^40";
        "a batch norm without scale": Classifier::sample(&[wide()], 3, 2, Seed(1))
            => "a batch normalisation in training needs BatchNorm::standard, centred and of unit root mean square";
        "a head of another width": Classifier::new([(vanilla(), zeros(8, 3))], zeros(2, 9))
            => "the weight matrix of the head is 2 x 9, expected 2 x 8";
        "weights of another width": Classifier::new([(vanilla(), zeros(7, 3))], zeros(2, 8))
            => "the weight matrix is 7 x 3, expected 8 x 3";
        "a NaN weight": {
            let weights = DMatrix::from_element(8, 3, f64::NAN);
            refused(Classifier::new([(vanilla(), weights)], zeros(2, 8)))
        } => "entry (0, 0) is NaN, not a finite number";
        "no such batch norm":
            classifier()?.with_batch_norm(1, TrainableBatchNorm::new(4, 0.0, 0.1)?)
            => "layer = 1 is invalid: expected a layer with batch normalisation";
        "a batch norm of another width":
            classifier()?.with_batch_norm(0, TrainableBatchNorm::new(5, 0.0, 0.1)?)
            => "the batch norm is 5 x 1, expected 4 x 1";
        "a batch norm with another epsilon":
            classifier()?.with_batch_norm(0, TrainableBatchNorm::new(4, 0.5, 0.1)?)
            => "epsilon of the batch norm = 0.5 is invalid: expected the epsilon of the layer's recipe";
        "a batch norm with a NaN shift": {
            let mut norm = classifier()?.batch_norm(0).expect("the layer has one").clone();
            norm.beta_mut()[0] = f64::NAN;
            refused(classifier()?.with_batch_norm(0, norm))
        } => "beta = NaN is invalid: expected a finite number";
        "samples of another dimension": classifier()?.logits(&zeros(4, 2))
            => "the batch is 4 x 2, expected 3 x 2";
        "no samples": classifier()?.evaluate(&zeros(3, 0), &[]) => "a 3 x 0 matrix holds no batch";
        "a NaN sample": trainer()?.step(&DMatrix::from_element(3, 2, f64::NAN), &[0, 1])
            => "entry (0, 0) is NaN, not a finite number";
        "a label out of range": trainer()?.step(&batch(), &[0, 2, 1])
            => "sample 1 has label 2, not one of 2 classes from 0";
        "a label too few": trainer()?.epoch(&batch(), &[0, 1], 2)
            => "the row of labels is 1 x 2, expected 1 x 3";
        "batch size 0": trainer()?.epoch(&batch(), &[0, 1, 1], 0)
            => "batch size = 0 is invalid: expected at least 1";
        "a batch of one": trainer()?.step(&dmatrix![1.0; 2.0; 3.0], &[0])
            => "a batch of 1 is too small: at least 2 needed";
        "a NaN logit": Loss::of(&dmatrix![f64::NAN; 1.0], &[0])
            => "entry (0, 0) is NaN, not a finite number";
        "an infinite logit": Loss::of(&dmatrix![f64::INFINITY; 1.0], &[1])
            => "entry (0, 0) is inf, not a finite number";
        "logits without classes": Loss::of(&zeros(0, 1), &[0]) => "a 0 x 1 matrix holds no batch";
        "the gradient of too many labels": classifier()?.gradient(&batch(), &[0; 4])
            => "the row of labels is 1 x 4, expected 1 x 3";
        "the velocity of another network": {
            let other = Classifier::sample(&[vanilla().with_activation(Tanh)], 3, 2, Seed(1))?;
            let velocity = Trainer::new(other, Sgd::new(0.1)?, Seed(1)).velocity().clone();
            refused(Trainer::resume(
                classifier()?,
                Sgd::new(0.1)?,
                Seed(1),
                velocity,
                trainer()?.progress(),
            ))
        } => "the velocity is 8 x 3, expected 4 x 3";
        "a step too far": {
            let mut trainer = trainer()?;
            trainer.set_optimizer(Sgd::new(1e308)?);
            refused((0..9).try_for_each(|_| refused(trainer.step(&batch(), &[0, 1, 1]))))
        } => "step 1 diverged (loss 4.272035133812572e307) and was not taken: a smaller learning rate may help";
    }
}

fn vanilla() -> Network<f64> {
    wide().with_normalization(orthogap::normalization::Normalization::None)
}

#[test]
fn ensembles_and_statistics() {
    refusals! {
        "no runs": Ensemble::new(&from_fn(["x"], 0, |_| Ok([1.0])), Seed(1)).run(0)
            => "runs = 0 is invalid: expected at least one run";
        "a mean of no values":
            Ensemble::new(&from_fn(["x"], 0, |_| Ok([f64::NAN])), Seed(1)).run(9)?.mean(0, "x")
            => "0 independent draws are too few: at least 2 needed";
        "nothing observed": {
            let input = four();
            let observed = ChainExperiment::new(&wide(), &input).at([1]);
            refused(Ensemble::new(&observed, Seed(1)).run(1))
        } => "the number of observables = 0 is invalid: expected at least one";
        "no layer observed": {
            let input = four();
            let observed = ChainExperiment::new(&wide(), &input).observe("one", |_| Ok(1.0));
            refused(Ensemble::new(&observed, Seed(1)).run(1))
        } => "the number of layers = 0 is invalid: expected at least one";
        "layers in reverse": {
            let input = four();
            #[expect(clippy::reversed_empty_ranges, reason = "which is refused")]
            let observed = ChainExperiment::new(&wide(), &input).observe("one", |_| Ok(1.0)).mean_over(9..=3);
            refused(Ensemble::new(&observed, Seed(1)).run(1))
        }
            => "the last of some layers = 3 is invalid: expected a layer not before the first";
        "one name twice": Ensemble::new(&from_fn(["x", "x"], 0, |_| Ok([1.0; 2])), Seed(1)).run(1)
            => "\"x\" cannot be read: expected a name that no other observable has";
        "a failure of the user's":
            Ensemble::new(
                &from_fn(["x"], 0, |_| {
                    Err::<[f64; 1], _>(Error::Experiment { reason: "no data".to_owned() })
                }),
                Seed(1),
            )
            .run(1)
            => "the experiment failed: no data";
        "the mean of what was not observed":
            Ensemble::new(&from_fn(["x", "y"], 0, |_| Ok([1.0; 2])), Seed(1)).run(2)?.mean(0, "z")
            => "unknown observable \"z\": expected x, y";
        "the mean at another layer":
            Ensemble::new(&from_fn(["x"], 1..=9, |_| Ok([1.0])), Seed(1)).run(2)?.mean(9, "x")
            => "unknown observed layer \"9\": expected 1-9";
        "no such metric": "rank".parse::<Metric>()
            => "unknown metric \"rank\": expected orthogonality_gap, lyapunov, isometry_gap, min_singular_value, condition_number, stable_rank, participation_ratio, effective_rank, coupling_bound";
        "the difference to one number": Moments::from_iter([1.0, 2.0]).difference(&Moments::from_iter([1.0]))
            => "1 independent draws are too few: at least 2 needed";
        "the error of a run": {
            let experiment = from_fn(["x"], 0, |_| Input::orthogonal(0).map(|_| [0.0]));
            refused(Ensemble::new(&experiment, Seed(1)).run(1))
        } => "a 0 x 0 matrix holds no batch";
        "more runs than there are": {
            let experiment = from_fn(["x"], 0, |_| Ok([1.0]));
            let ensemble = Ensemble::new(&experiment, Seed(1));
            refused(ensemble.extend(&mut Summary::new(&ensemble, u32::MAX - 1), 5))
        } => "run 4294967299 exceeds 4294967295, the last one with a random stream of its own";
        "no such observable": {
            let experiment = from_fn(["x"], 0, |_| Ok([1.0]));
            let enough = Precision { layer: 0, observable: "y", standard_error: 0.1 };
            refused(Ensemble::new(&experiment, Seed(1)).run_until(enough, 100))
        } => "unknown observable \"y\": expected x";
        "no precision is enough": {
            let experiment = from_fn(["x"], 0, |_| Ok([1.0]));
            let enough = Precision { layer: 0, observable: "x", standard_error: 0.0 };
            refused(Ensemble::new(&experiment, Seed(1)).run_until(enough, 100))
        } => "standard error = 0 is invalid: expected a positive number";
        "no runs at most": {
            let experiment = from_fn(["x"], 0, |_| Ok([1.0]));
            let enough = Precision { layer: 0, observable: "x", standard_error: 0.1 };
            refused(Ensemble::new(&experiment, Seed(1)).run_until(enough, 0))
        } => "runs = 0 is invalid: expected at least one run";
        "names with commas": {
            let one = from_fn(["a, b"], 0, |_| Ok([1.0]));
            let two = from_fn(["a", "b"], 0, |_| Ok([1.0, 2.0]));
            let (one, two) = (Ensemble::new(&one, Seed(1)), Ensemble::new(&two, Seed(1)));
            one.share(0..2)?.merge(&two.share(2..4)?)
        }
            => "the runs are of another ensemble: the list of observables is [\"a\", \"b\"], not [\"a, b\"]";
        "a gap in the runs": {
            let experiment = from_fn(["x"], 0, |_| Ok([1.0]));
            let ensemble = Ensemble::new(&experiment, Seed(1));
            ensemble.share(0..2)?.merge(&ensemble.share(3..4)?)
        } => "run = 3 is invalid: expected the run after the last one";
        "two experiments": {
            let (x, y) = (from_fn(["x"], 0, |_| Ok([1.0])), from_fn(["y"], 0, |_| Ok([1.0])));
            let (x, y) = (Ensemble::new(&x, Seed(1)), Ensemble::new(&y, Seed(1)));
            x.share(0..2)?.merge(&y.share(2..4)?)
        }
            => "the runs are of another ensemble: the list of observables is [\"y\"], not [\"x\"]";
        "two seeds": {
            let x = from_fn(["x"], 0, |_| Ok([1.0]));
            Ensemble::new(&x, Seed(1)).share(0..2)?.merge(&Ensemble::new(&x, Seed(2)).share(2..4)?)
        } => "the runs are of another ensemble: the seed is 2, not 1";
                "a line through two points": Line::through(&[(0.0, 0.0), (1.0, 1.0)])
            => "the number of points = 2 is invalid: expected at least 3 points";
        "a vertical line": Line::through(&[(1.0, 0.0), (1.0, 1.0), (1.0, 2.0)])
            => "x = 1 is invalid: expected points at different x";
        "a NaN point": Line::through(&[(1.0, f64::NAN), (2.0, 1.0), (3.0, 2.0)])
            => "y = NaN is invalid: expected a finite number";
        "a point without error":
            Line::with_errors(&[(0.0, 0.0, 0.0), (1.0, 1.0, 1.0)], Weighting::Equal)
            => "standard error = 0 is invalid: expected a positive finite number";
        "a line whose errors overflow": {
            let points = [(0.0, 0.0, 1e308), (1e-3, 1.0, 1e308)];
            Line::with_errors(&points, Weighting::Equal)
        } => "slope error = inf is invalid: expected points whose squares do not overflow";
        "a line whose scatter overflows":
            Line::through(&[(0.0, 1e200), (1.0, -1e200), (2.0, 1e200)])
            => "slope error = inf is invalid: expected points whose squares do not overflow";
        "as many numbers as nobody has": {
            let mut moments = Moments::from_iter([1.0]);
            refused((0..54).try_for_each(|_| moments.merge(&moments.clone())))
        } => "count = 18014398509481984 is invalid: expected at most 2^53 numbers";
        "batches of another length": BatchMeans::new(2).merge(&BatchMeans::new(3))
            => "length of the other's batches = 3 is invalid: expected the same length";
        "a line that overflows": Line::through(&[(-1e308, 0.0), (0.0, 1.0), (1e308, 2.0)])
            => "the range of x = inf is invalid: expected points whose squares do not overflow";
    }
}

#[test]
fn distances() {
    use wasserstein::{Gaussian, normal_bins, p_value, weighted_line_w2};
    fn sample() -> Sample {
        Sample::from_rows(&dmatrix![1.0, 0.0; 0.0, 2.0; -1.0, 0.5; 0.2, -1.0]).expect("four rows")
    }
    fn normal() -> Gaussian {
        Gaussian::isotropic(3, 1.0).expect("three dimensions")
    }
    refusals! {
        "no dimension": Gaussian::isotropic(0, 1.0) => "a 0 x 0 matrix holds no batch";
        "a negative deviation": Gaussian::isotropic(2, -1.0)
            => "deviation = -1 is invalid: expected a finite number >= 0";
        "a NaN variance": Gaussian::diagonal(&[1.0, f64::NAN])
            => "variance = NaN is invalid: expected a finite number >= 0";
        "a covariance that is not square": Gaussian::from_covariance(&zeros(2, 3))
            => "the covariance is 2 x 3, expected 2 x 2";
        "a covariance that is not symmetric":
            Gaussian::from_covariance(&dmatrix![1.0, 0.5; 0.0, 1.0])
            => "covariance = 0.5 is invalid: expected a symmetric matrix";
        "an indefinite covariance": Gaussian::from_covariance(&dmatrix![1.0, 2.0; 2.0, 1.0])
            => "covariance = -3 is invalid: expected a positive semidefinite matrix";
        "an empty factor": Gaussian::from_factor(&zeros(2, 0)) => "a 2 x 0 matrix holds no batch";
        "a mean of another dimension": normal().with_mean(&[1.0])
            => "the mean is 1 x 1, expected 3 x 1";
        "an infinite mean": normal().with_mean(&[0.0, f64::INFINITY, 0.0])
            => "entry (1, 0) is inf, not a finite number";
        "an empty sample": Sample::from_rows(&zeros(0, 2)) => "a 0 x 2 matrix holds no batch";
        "a NaN row": Sample::from_rows(&dmatrix![0.0; f64::NAN])
            => "entry (1, 0) is NaN, not a finite number";
        "a sample that overflows":
            Sample::from_rows(&dmatrix![1e200; -1e200])?.gelbrich(&Gaussian::isotropic(1, 1.0)?)
            => "sum of squares of the rows = inf is invalid: expected at most 1e300";
        "variances whose product overflows":
            Sample::from_rows(&dmatrix![1e100; 2e100])?.gelbrich(&Gaussian::isotropic(1, 1e100)?)
            => "product of the variances = inf is invalid: expected from 1e-290 to 1e300, unless one is zero";
        "variances whose product underflows":
            Sample::from_rows(&dmatrix![0.0; 1e-81])?.gelbrich(&Gaussian::isotropic(1, 1e-81)?)
            => "product of the variances = 0 is invalid: expected from 1e-290 to 1e300, unless one is zero";
        "a deviation that overflows":
            Gaussian::isotropic(2, 1e200)?.w2(&Gaussian::isotropic(2, 1.0)?)
            => "total variance = inf is invalid: expected at most 1e300";
        "a target of another dimension": sample().gelbrich(&normal())
            => "the target is 3 x 1, expected 2 x 1";
        "a radius of another dimension": sample().radial(&normal())
            => "the target is 3 x 1, expected 2 x 1";
        "a bracket of another dimension": sample().bracket(&normal(), None, Seed(1))
            => "the target is 3 x 1, expected 2 x 1";
        "a law of another dimension": normal().w2(&Gaussian::isotropic(2, 1.0)?)
            => "the mean is 3 x 1, expected 2 x 1";
        "no directions": Directions::random(3, 0, Seed(1)) => "a 3 x 0 matrix holds no batch";
        "a zero direction": Directions::from_columns(&zeros(2, 1))
            => "column 0 (a sample) is zero and has no direction";
        "directions without dimension": Directions::orthogonal(0, 4, Seed(1))
            => "a 0 x 4 matrix holds no batch";
        "directions of another dimension":
            sample().sliced(&Gaussian::isotropic(2, 1.0)?, &Directions::axes(3)?)
            => "a direction is 3 x 1, expected 2 x 1";
        "too few rows for two halves":
            Sample::from_rows(&dmatrix![1.0; 0.0; -1.0])?
                .max_sliced(&Gaussian::isotropic(1, 1.0)?, 2, Seed(1))
            => "3 independent draws are too few: at least 50 needed";
        "no numbers": normal_bins(0) => "a 0 x 1 matrix holds no batch";
        "too many numbers": normal_bins(1 << 31)
            => "count = 2147483648 is invalid: expected fewer than 2^31 samples";
        "another number of numbers": normal_bins(2)?.w2(&[1.0], 0.0, 1.0)
            => "the sample is 1 x 1, expected 2 x 1";
        "a NaN number": normal_bins(1)?.w2(&[f64::NAN], 0.0, 1.0)
            => "entry (0, 0) is NaN, not a finite number";
        "a negative spread": normal_bins(1)?.w2(&[1.0], 0.0, -1.0)
            => "deviation = -1 is invalid: expected a finite number >= 0";
        "weights that differ in number": weighted_line_w2(&[1.0], &[], 0.0, 1.0)
            => "the list of weights is 0 x 1, expected 1 x 1";
        "numbers whose squares overflow": normal_bins(2)?.w2(&[-1e231, 5e-323], 0.0, 0.0)
            => "squared distance = inf is invalid: expected at most 1e300";
        "weighted numbers whose squares overflow":
            weighted_line_w2(&[-1e231, 5e-323], &[1.0, 1.0], 0.0, 0.0)
            => "squared distance = inf is invalid: expected at most 1e300";
        "a weight that is nothing beside another":
            weighted_line_w2(&[1.0, 2.0], &[1e-17, 1e308], 0.0, 1.0)
            => "weight = 0.00000000000000001 is invalid: expected weights whose sum is finite, and of which none underflows beside it";
        "a negative weight": weighted_line_w2(&[1.0], &[-1.0], 0.0, 1.0)
            => "weight = -1 is invalid: expected a positive finite number";
        "no weight at all": weighted_line_w2(&[1.0], &[0.0], 0.0, 1.0)
            => "weight = 0 is invalid: expected a positive finite number";
        "a level above one": sample().gelbrich(&Gaussian::isotropic(2, 1.0)?)?.confidence_interval(1.5)
            => "level = 1.5 is invalid: expected a probability strictly between 0 and 1";
        "moments of no dimension": RowMoments::new(0) => "a 0 x 0 matrix holds no batch";
        "rows of another dimension": RowMoments::new(2)?.push_rows(&zeros(1, 3))
            => "the block of rows is 1 x 3, expected 1 x 2";
        "moments of two dimensions": RowMoments::new(2)?.merge(&RowMoments::new(3)?)
            => "the mean of the moments is 1 x 3, expected 1 x 2";
        "as many rows as nobody has": {
            let mut moments = RowMoments::new(1)?;
            moments.push_rows(&dmatrix![1.0])?;
            refused((0..54).try_for_each(|_| moments.merge(&moments.clone())))
        } => "count = 18014398509481984 is invalid: expected at most 2^53 numbers";
        "a law of nothing": MatrixLaw::new(0, 4) => "a 4 x 0 matrix holds no batch";
        "a Gram matrix of another size": MatrixLaw::new(3, 4)?.push(four().gram(), Seed(1))
            => "the Gram matrix is 4 x 4, expected 3 x 3";
        "a bracket of no draws": MatrixLaw::new(3, 4)?.bracket()
            => "0 independent draws are too few: at least 4 needed";
        "no replicates": p_value(&sample(), &Gaussian::isotropic(2, 1.0)?, 0, Seed(1), |_| Ok(0.0))
            => "replicates = 0 is invalid: expected from 1 to 2^32 - 2";
        "a NaN statistic":
            p_value(&sample(), &Gaussian::isotropic(2, 1.0)?, 9, Seed(1), |_| { Ok(f64::NAN) })
            => "statistic = NaN is invalid: expected a number";
    }
}

#[test]
fn theory() {
    refusals! {
        "no width": Width::finite(1, 0)
            => "a batch of 1 samples cannot be orthogonal in width 0: the batch size must not exceed the width";
        "no batch": Width::finite(0, 9) => "a batch of 0 is too small: at least 1 needed";
        "alpha 0": A1::new(4, 0.0, 9) => "alpha = 0 is invalid: expected 0 < alpha <= 1/sqrt(n)";
        "a large alpha": A1::new(4, 0.6, 9)
            => "alpha = 0.6 is invalid: expected 0 < alpha <= 1/sqrt(n)";
        "no path": A1::observed([]) => "a 0 x 0 matrix holds no batch";
        "a path of two batches": A1::observed([four().gram(), Input::orthogonal(3)?.gram()])
            => "a layer's Gram matrix is 3 x 3, expected 4 x 4";
        "a gap above its range": bounds::lemma_2(4, 0.9)
            => "mean gap = 0.9 is invalid: expected 0 to sqrt(1 - 1/n)";
        "a squared gap below zero": bounds::lemma_2_sharp(4, -0.1)
            => "mean squared gap = -0.1 is invalid: expected 0 to 1 - 1/n";
        "a NaN potential": bounds::lemma_4(Version::Sharp, 4, f64::NAN)
            => "lyapunov = NaN is invalid: expected 0 to 1/n";
        "a potential above its range": bounds::theorem_5(Version::Printed, 4, 0.3, Width::INFINITE)
            => "lyapunov = 0.3 is invalid: expected 0 to 1/n";
        "a negative eigenvalue": bounds::lemma_8(4, -0.3)
            => "smallest eigenvalue = -0.3 is invalid: expected 0 to 1/n";
        "an eigenvalue above 1/n": A1::of_eigenvalue(4, 0.3, 9)
            => "eigenvalue = 0.3 is invalid: expected 0 < eigenvalue <= 1/n";
        "a mean over no layers": bounds::appendix_b1(Version::Printed, 4, 0.1, 0, Width::INFINITE)
            => "layers = 0 is invalid: expected at least one layer";
        "Lemma 7 of no batch": bounds::lemma_7(0, Width::INFINITE)
            => "a batch of 0 is too small: at least 1 needed";
        "the noise of nothing": bounds::noise(&[], Width::INFINITE)
            => "a 0 x 0 matrix holds no batch";
        "no eigenvalues": mean_field::map(&[]) => "a 0 x 0 matrix holds no batch";
        "a negative eigenvalue, mapped": mean_field::map(&[1.0, -1.0])
            => "eigenvalue = -1 is invalid: expected zero, or from 1e-280 times the largest eigenvalue on";
        "zero eigenvalues": mean_field::map(&[0.0, 0.0])
            => "all entries of the 2 x 2 matrix are zero";
        "a deviation below all": mean_field::map_of_deviations(&[-0.5, 0.5])
            => "deviation = -0.5 is invalid: expected a finite number above -1/n";
        "a deviation out of range of another": mean_field::map_of_deviations(&[1e281, 0.25])
            => "deviation = 0.25 is invalid: expected an eigenvalue from 1e-280 times the largest on";
        "no deviations": mean_field::map_of_deviations(&[]) => "a 0 x 0 matrix holds no batch";
        "a single sample, centred": mean_field::centered(Input::orthogonal(1).unwrap().gram())
            => "a batch of 1 is too small: at least 2 needed";
        "a fixed point with an epsilon":
            equiangular_point(&Activation::Relu, &BatchNorm::standard(1e-5).unwrap(), 4)
            => "the chain at infinite width needs a batch normalisation without epsilon";
        "Haar weights in a narrow network": haar::mean_squared_gap(9, 5)
            => "a batch of 9 samples cannot be orthogonal in width 5: the batch size must not exceed the width";
        "a law of one sample": stationary::SingularValueLaw::new(1, 9)
            => "a batch of 1 is too small: at least 2 needed";
        "a law in a narrow network": stationary::SingularValueLaw::new(9, 5)
            => "a batch of 9 samples cannot be orthogonal in width 5: the batch size must not exceed the width";
        "samples of two sizes":
            wasserstein_law::lower_bound([[1.0, 2.0]], [[1.0, 2.0], [1.0, 2.0]])
            => "the second sample is 2 x 2, expected 1 x 2";
        "singular values whose squares overflow":
            wasserstein_law::lower_bound([[7.0, 0.5], [8.0, 4.0]], [[4e251, 0.0], [0.0, 0.0]])
            => "squared distance = inf is invalid: expected numbers whose squares do not overflow";
        "no samples": wasserstein_law::lower_bound([] as [[f64; 2]; 0], [[1.0, 2.0]])
            => "a 0 x 0 matrix holds no batch";
        "a kernel of no square": Kernel::Linear.layer(&zeros(2, 3))
            => "covariance is 2 x 3, expected 3 x 3";
        "a kernel of a NaN": Kernel::Sine.layer(&dmatrix![f64::NAN])
            => "entry (0, 0) is NaN, not a finite number";
        "a kernel of a negative variance": Kernel::ArcCosine.layer(&dmatrix![-1.0, 0.0; 0.0, 1.0])
            => "variance = -1 is invalid: expected a number >= 0";
        "a kernel of an unsymmetric matrix": Kernel::Sine.layer(&dmatrix![1.0, 0.25; 0.5, 1.0])
            => "covariance = 0.25 is invalid: expected a symmetric matrix";
        "no points": quasi_monte_carlo(four().gram(), &Relu, 1.0, 0, Seed(1))
            => "points = 0 is invalid: expected at least one point";
        "no row norm": quasi_monte_carlo(four().gram(), &Relu, 0.0, 9, Seed(1))
            => "row_norm = 0 is invalid: expected a positive number";
    }
}

/// What is large or small is not bad: every finite number has its place.
#[test]
fn the_largest_and_the_smallest_numbers_are_fine() {
    for unit in [f64::MAX, f64::MIN_POSITIVE, 5e-324] {
        let h = dmatrix![unit, 0.0; 0.0, unit];
        let gram = Gram::from_columns(&h).unwrap();
        assert!(gram.orthogonality_gap() < 1e-15, "{unit:e}: {}", gram.orthogonality_gap());
        let input = Input::from_columns(&h).unwrap();
        assert!((input.log_scale() - (unit.ln() - 0.5 * 2f64.ln())).abs() < 1e-12);
    }
}

/// A machine whose team is gone.
struct Deaf;

impl Communicator for Deaf {
    fn size(&self) -> usize {
        2
    }

    fn rank(&self) -> usize {
        0
    }

    fn all_reduce_sum(&mut self, _: &mut [i64]) -> Result<()> {
        Err(Error::Communicator { reason: "nobody answers".to_owned() })
    }

    fn broadcast(&mut self, root: usize, numbers: &mut [i64]) -> Result<()> {
        SingleProcess.broadcast(root, numbers)
    }
}

/// Of some ten million numbers one in a million is far out; of one seed none of those in the first
/// super-block is.
fn outliers() -> Result<()> {
    let rare = |x: f64| if (x * 1e3).rem_euclid(1.0) < 1e-6 { 1e15 } else { x };
    let network = Network::<f64>::new(320_000)
        .with_normalization(Normalization::None)
        .with_activation(Activation::custom("rare", rare));
    (0..8).try_for_each(|seed| network.chain(&four(), Seed(seed))?.step().map(drop))
}

#[test]
fn teams_and_streams() {
    refusals! {
        "a team that is gone": wide().chain(&four(), Seed(1))?.step_with(&mut Deaf)
            => "the team failed: nobody answers";
        "rows unlike the first ones": outliers()
            => "layer 1: some rows sum up to 2^63 times as much as the first ones, beyond the range of a \
                sum";
    }
}

#[cfg(feature = "sinkhorn")]
#[test]
fn entropic_distances() {
    use wasserstein::Gaussian;
    refusals! {
        "no epsilon": {
            let sample = Sample::from_rows(&dmatrix![1.0; 2.0])?;
            refused(sample.sinkhorn_divergence(&sample, 0.0))
        } => "epsilon = 0 is invalid: expected a positive finite number";
        "a NaN epsilon": {
            let law = Gaussian::isotropic(2, 1.0)?;
            refused(law.entropic_transport(&law, f64::NAN))
        } => "epsilon = NaN is invalid: expected a positive finite number";
        "two dimensions":
            Gaussian::isotropic(2, 1.0)?.entropic_transport(&Gaussian::isotropic(3, 1.0)?, 1.0)
            => "the mean is 2 x 1, expected 3 x 1";
    }
}

#[cfg(feature = "assignment")]
#[test]
fn assignments() {
    fn sample(rows: usize, columns: usize) -> Result<Sample> {
        Sample::from_rows(&DMatrix::from_fn(rows, columns, |i, j| (i + 2 * j) as f64))
    }
    refusals! {
        "two dimensions": sample(3, 2)?.assignment(&sample(3, 1)?)
            => "the other sample is 1 x 1, expected 2 x 1";
    }
}

#[test]
fn tables() {
    use orthogap::report::{Table, file};
    refusals! {
        "too many values": Table::new(["a"]).push([1.0.into(), 2.0.into()])
            => "a row of the table is 1 x 2, expected 1 x 1";
        "two columns of one name": Table::new(["a", "a"]).json_lines()
            => "\"a\" cannot be read: expected the name of one column, not of two";
        "no file": file::write("", "x") => "\"\": an empty path names no file";
        "a folder": file::write("src", "x") => "src: it is a folder, not a file";
        "a folder to come": file::write("new/", "x") => "new/: it names a folder, not a file";
    }
}

#[cfg(feature = "sweep")]
#[test]
fn sweeps() {
    use orthogap::experiment::sweep::{Share, Sweep};
    refusals! {
        "a share beyond the last": Share::new(3, 3)
            => "share = 3 is invalid: expected a share from 0 to their number less one";
        "no shares": Share::new(0, 0)
            => "share = 0 is invalid: expected a share from 0 to their number less one";
        "half a share": "1".parse::<Share>()
            => "\"1\" cannot be read: expected INDEX/COUNT, such as 0/10";
        "a share of words": "one/two".parse::<Share>()
            => "\"one/two\" cannot be read: expected INDEX/COUNT, such as 0/10";
        "a share out of range": "10/10".parse::<Share>()
            => "share = 10 is invalid: expected a share from 0 to their number less one";
        "a folder that is a file": Sweep::open("Cargo.toml", &1)
            => "Cargo.toml: File exists (os error 17)";
        "a folder without a name": Sweep::open("", &1)
            => "\"\": an empty path names no folder";
    }
}
