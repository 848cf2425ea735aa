//! Side-by-side measurements against another relay that speaks NG.
