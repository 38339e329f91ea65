# SPDX-License-Identifier: MIT
# Points in labelled rows, one panel a quantity; the short upright lines are medians.
load PLOTS.'/common.gp'

set border 0
unset logscale x
set xtics scale 0 ()
do for [i = 1:words(TIC_TEXT)] {
    set xtics add (word(TIC_TEXT, i) real(word(TIC_X, i)))
}
set grid xtics back lt 1 lw 0.5 lc rgb FAINT
set yrange [Y_MAX:Y_MIN]
set ytics scale 0 ()
do for [i = 1:words(ROW_TEXT)] {
    set ytics add (word(ROW_TEXT, i) real(word(ROW_Y, i)))
}
do for [i = 1:words(PANEL_TEXT)] {
    set label 10 + i word(PANEL_TEXT, i) at first real(word(PANEL_X, i)), screen X_TITLE_Y center textcolor rgb INK
}
do for [i = 1:words(LINE_TEXT)] {
    if (word(LINE_TEXT, i) eq '') {
        set arrow i from real(word(LINES, 6 * i - 5)), real(word(LINES, 6 * i - 4)) to real(word(LINES, 6 * i - 3)), real(word(LINES, 6 * i - 2)) nohead front lc rgb INK lw 1.8
    } else {
        set arrow i from real(word(LINES, 6 * i - 5)), real(word(LINES, 6 * i - 4)) to real(word(LINES, 6 * i - 3)), real(word(LINES, 6 * i - 2)) nohead back lc rgb INK lw 1 dt (6, 4)
    }
    set label 400 + i word(LINE_TEXT, i) at real(word(LINES, 6 * i - 1)), real(word(LINES, 6 * i)) center textcolor rgb INK font FONT.','.SMALL_SIZE
}

plot DATA using 'x':'y':'x_low':'x_high':'colour' with xerrorbars pt 0 lw 1 lc rgb variable, \
     DATA using 'x':'y':'size':'under' with points ps variable pt variable lc rgb '#ffffff', \
     DATA using 'x':'y':'size':'shape':'colour' with points ps variable pt variable lw 1 lc rgb variable, \
     DATA using 'x':'y':'inner_size':'inner':'colour' with points ps variable pt variable lw 1 lc rgb variable
