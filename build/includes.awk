# SPDX-License-Identifier: Apache-2.0
#
# Shows what layers.awk has read. `format` is text or dot for the graph; units and folders for the
# list as docs/architecture.md and README.md have it.

END {
    find_circles()
    for (pair in between) {
        split(pair, ends, SUBSEP)
        if (is_up(ends[1], ends[2]))
            up += between[pair]
    }
    if (format == "dot")
        draw_dot()
    else if (format == "units")
        show_units()
    else if (format == "folders")
        show_folders()
    else
        draw_text()
}

function plural(n, noun) { return n " " noun (n == 1 ? "" : "s") }

function draw_text(    i, j, n, names) {
    for (i = 1; i <= n_floors; i++) {
        floor = floors[i]
        print floor "/  (" runs[floor] ": " does[floor] ")"
        for (j = 1; j <= n_floors; j++)
            if ((floor, floors[j]) in between && i != j)
                print "    -> " floors[j] "/  " between[floor, floors[j]] \
                    (is_up(floor, floors[j]) ? "  UP" : "")
        n = split(units[floor], names, " ")
        for (j = 1; j <= n; j++)
            print "    " base_of(names[j]) own_of(names[j])
        print ""
    }
    for (i = 1; i <= n_circles; i++)
        print "circle: " circle[i]
    print plural(up + 0, "arrow") " up, " plural(n_circles, "circle")
}

# What a unit includes, as ": a b", in the order of the list.
function own_of(unit,    i, j, n, names, found) {
    for (i = 1; i <= n_floors; i++) {
        n = split(units[floors[i]], names, " ")
        for (j = 1; j <= n; j++)
            if ((unit, names[j]) in arrows)
                found = found " " base_of(names[j])
    }
    return found == "" ? "" : ":" found
}

function draw_dot(    i, j, n, names, pair, ends, style) {
    print "digraph includes {"
    print "    rankdir=TB; node [shape=box, fontname=\"sans\", fontsize=10];"
    for (i = 1; i <= n_floors; i++) {
        print "    subgraph \"cluster_" floors[i] "\" {"
        print "        label=\"" floors[i] "/ (" runs[floors[i]] ")\"; fontname=\"sans\";"
        n = split(units[floors[i]], names, " ")
        for (j = 1; j <= n; j++)
            print "        \"" names[j] "\" [label=\"" base_of(names[j]) "\"];"
        print "    }"
    }
    for (pair in arrows) {
        split(pair, ends, SUBSEP)
        style = is_up(folder_of(ends[1]), folder_of(ends[2])) ? " [color=red]" : ""
        print "    \"" ends[1] "\" -> \"" ends[2] "\"" style ";" | "sort"
    }
    close("sort")
    print "}"
    print "// " plural(up + 0, "arrow") " up, " plural(n_circles, "circle")
}

function show_folders(    i) {
    print "| folder | what | threads |\n|---|---|---|"
    for (i = 1; i <= n_floors; i++)
        print "| `" floors[i] "/` | " does[floors[i]] " | " runs[floors[i]] " |"
}

function show_units(    i, j, n, names) {
    for (i = 1; i <= n_floors; i++) {
        print "\n### " floors[i] "/: " does[floors[i]] "\n"
        print "Threads: " runs[floors[i]] ". May include: " in_words(floors[i]) ".\n"
        print "| unit | what |\n|---|---|"
        n = split(units[floors[i]], names, " ")
        for (j = 1; j <= n; j++)
            print "| `" base_of(names[j]) "` | " is[names[j]] " |"
    }
    print ""
}

# What a floor may include, of ours and of others.
function in_words(floor,    i, n, names, text) {
    n = split(sees[floor], names, " ")
    for (i = 1; i <= n; i++) {
        if (floor != "mod_altsvc")
            sub(/^mod_http3\//, "", names[i])
        text = text "`" names[i] (names[i] ~ /\.h$/ ? "`, " : "/`, ")
    }
    n = split(headers[floor], names, " ")
    for (i = 1; i <= n; i++) {
        if (sub(/\(/, " (`", names[i])) {
            gsub(/,/, "`, `", names[i])
            sub(/\)/, "` only)", names[i])
        }
        text = text names[i] (i < n ? ", " : "")
    }
    return text
}
