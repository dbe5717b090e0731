//! `clawloops doctor`: looks at every part and says what is wrong and what to do.
