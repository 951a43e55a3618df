"""From features to rankings to metrics. Tensors in, tensors out; numpy arrays are accepted everywhere.

    from reidlib.retrieval import distance, metrics, rerank, vtrm

    plain = distance.cosine(query, gallery)                        # features (m, D), (n, D) -> (m, n)
    query_gallery, gallery_gallery = rerank.k_reciprocal(query, gallery, rows="all")
    ranking = vtrm.mine(query_gallery, gallery_gallery, window=2)  # (m, n) int64, nearest first
    labels = metrics.Labels(query_person), metrics.Labels(gallery_person)
    print(metrics.evaluate(plain, *labels, protocol="synergyreid").mAP)
    print(metrics.evaluate_rankings(ranking, *labels, protocol="synergyreid").mAP)

Smaller distances are nearer; equal ones are taken in index order. A wrong shape, NaN, infinity or an empty argument
raises `ValueError` naming it. Nothing here knows of data sets, models or training.
"""
