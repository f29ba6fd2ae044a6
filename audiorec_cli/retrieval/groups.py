"""Groups of tracks that a map is coloured and labelled by."""

FEW_FOLDERS = range(2, 31)  # folders at the top that are likely to be genres


def group_names(tracks, by):
    """The group of each track: a list of n names, "" where it has none.

    by : "artist", "album" or "genre", as tagged, or "folder": the first part of the path
    """
    if by == "folder":
        return [path.split("/", 1)[0] if "/" in path else "" for path in tracks.path]
    return list(getattr(tracks, by))


def usual_grouping(tracks):
    """What to group by unless told: "folder" where there are a few, "artist" otherwise."""
    folders = {name for name in group_names(tracks, "folder") if name}
    return "folder" if len(folders) in FEW_FOLDERS else "artist"
