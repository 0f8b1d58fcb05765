//! Matrices of other crates: the same numbers at the same place.

#[cfg(feature = "ndarray")]
mod ndarray {
    use ::ndarray::{Array2, Axis, ShapeBuilder, s};
    use nalgebra::DMatrix;
    use orthogap::interop::{from_ndarray, to_ndarray};
    use proptest::prelude::*;

    fn array(rows: usize, columns: usize, fortran: bool) -> Array2<f64> {
        let entry = |(i, j)| (i * 100 + j) as f64;
        let shape = (rows, columns);
        if fortran {
            Array2::from_shape_fn(shape.f(), entry)
        } else {
            Array2::from_shape_fn(shape, entry)
        }
    }

    proptest! {
        /// All shapes, empty ones too, in both layouts, transposed or not.
        #[test]
        fn views_are_the_same_numbers(
            rows in 0..6usize, columns in 0..6usize, fortran: bool, transposed: bool,
        ) {
            let array = array(rows, columns, fortran);
            let lent = if transposed { array.t() } else { array.view() };
            let matrix = from_ndarray(&lent).unwrap();
            prop_assert_eq!(matrix.shape(), lent.dim());
            for ((i, j), number) in lent.indexed_iter() {
                prop_assert_eq!(std::ptr::from_ref(&matrix[(i, j)]), std::ptr::from_ref(number));
            }
        }

        #[test]
        fn arrays_are_the_same_numbers(rows in 0..6usize, columns in 0..6usize) {
            let matrix = DMatrix::from_fn(rows, columns, |i, j| (i * 100 + j) as f32);
            let lent = to_ndarray(&matrix);
            prop_assert_eq!(lent.dim(), matrix.shape());
            prop_assert!(lent.is_empty() || lent.as_ptr() == matrix.as_ptr());
            for ((i, j), &number) in lent.indexed_iter() {
                prop_assert_eq!(number, matrix[(i, j)]);
            }
            prop_assert_eq!(from_ndarray(&lent).unwrap().into_owned(), matrix);
        }

        /// Any slice is either seen as it is or refused.
        #[test]
        fn slices_are_right_or_refused(
            fortran: bool, low in 0..3usize, high in 3..5usize, step in 1..4usize, left in 0..4usize,
        ) {
            let array = array(5, 4, fortran);
            let slice = array.slice(s![low..high;step, left..]);
            match from_ndarray(&slice) {
                Ok(matrix) => for ((i, j), &number) in slice.indexed_iter() {
                    prop_assert_eq!(matrix[(i, j)], number);
                },
                Err(error) => {
                    prop_assert!(error.to_string().contains("expected an array without gaps"));
                    prop_assert!(slice.as_slice_memory_order().is_none());
                }
            }
        }
    }

    #[test]
    fn reversed_arrays_are_refused() {
        let mut array = array(3, 2, false);
        array.invert_axis(Axis(0));
        let error = from_ndarray(&array).unwrap_err();
        assert_eq!(
            error.to_string(),
            "stride = -2 is invalid: expected an array whose axes are not reversed"
        );
    }
}

#[cfg(feature = "faer")]
mod faer {
    use nalgebra::DMatrix;
    use orthogap::interop::{from_faer, to_faer};
    use proptest::prelude::*;

    proptest! {
        /// All shapes, empty ones too.
        #[test]
        fn there_and_back(rows in 0..6usize, columns in 0..6usize) {
            let matrix = DMatrix::from_fn(rows, columns, |i, j| (i * 100 + j) as f64);
            let lent = to_faer(&matrix);
            prop_assert_eq!((lent.nrows(), lent.ncols()), matrix.shape());
            if !matrix.is_empty() {
                prop_assert_eq!(std::ptr::from_ref(&lent[(0, 0)]), matrix.as_ptr());
            }
            prop_assert_eq!(from_faer(lent), matrix.clone());
            prop_assert_eq!(from_faer(lent.transpose()), matrix.transpose());
            prop_assert_eq!(from_faer(lent.reverse_rows().reverse_rows()), matrix);
        }
    }
}
