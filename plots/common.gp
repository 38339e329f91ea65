# SPDX-License-Identifier: MIT
# What all figures share: terminal, fonts, colours, frame, legend. The variables come from the
# settings file that joulebench loads first; positions are fractions of the canvas.
set encoding utf8
FONT = 'Helvetica'
INK = '#262626'
FAINT = '#d9d9d9'
GUIDE = '#a6a6a6'

if (TERMINAL eq 'svg') set terminal svg size WIDTH,HEIGHT noenhanced font FONT.','.TEXT_SIZE background '#ffffff' linewidth 1
if (TERMINAL eq 'png') set terminal pngcairo size WIDTH_PX,HEIGHT_PX noenhanced font FONT.','.TEXT_SIZE fontscale 1.5 linewidth 2 pointscale 2.5 background '#ffffff'
if (TERMINAL eq 'pdf') set terminal pdfcairo size WIDTH_IN,HEIGHT_IN noenhanced font FONT.','.TEXT_SIZE fontscale 0.75 linewidth 1 pointscale 1.25 background '#ffffff'
set output OUTPUT

set datafile separator comma
set datafile columnheaders
set lmargin at screen LEFT
set rmargin at screen RIGHT
set bmargin at screen BOTTOM
set tmargin at screen TOP
unset key
set border 3 lc rgb INK lw 0.8
set tics nomirror out scale 0.6,0.3 textcolor rgb INK
set bars 0.5
set pointsize 1

set xrange [X_MIN:X_MAX] noextend
set yrange [Y_MIN:Y_MAX] noextend
if (X_IS_LOG) set logscale x 10
set format x '%.10g'

set label 1 SUBTITLE at screen LEFT, SUBTITLE_Y left textcolor rgb INK font FONT.','.NOTE_SIZE

do for [i = 1:words(LEGEND_TEXT)] {
    if (int(word(LEGEND_IS_HEADING, i))) {
        set label 100 + i word(LEGEND_TEXT, i) at screen real(word(LEGEND_TEXT_X, i)), real(word(LEGEND_Y, i)) left textcolor rgb INK font FONT.' Bold,'.NOTE_SIZE
    } else {
        set label 100 + i word(LEGEND_TEXT, i) at screen real(word(LEGEND_TEXT_X, i)), real(word(LEGEND_Y, i)) left textcolor rgb INK font FONT.','.NOTE_SIZE
        set label 200 + i '' at screen real(word(LEGEND_X, i)), real(word(LEGEND_Y, i)) point pt int(word(LEGEND_SHAPE, i)) ps real(word(LEGEND_SIZE, i)) lc rgb word(LEGEND_COLOUR, i)
        if (int(word(LEGEND_INNER, i))) {
            set label 300 + i '' at screen real(word(LEGEND_X, i)), real(word(LEGEND_Y, i)) point pt int(word(LEGEND_INNER, i)) ps real(word(LEGEND_INNER_SIZE, i)) lc rgb word(LEGEND_COLOUR, i)
        }
    }
}
