// Lists kept live by Headlamp's own, unmodified code: useKubeObjectList, useKubeObject, the multiplexer client and KubeList.
// Ours are only this page and the class Pod, which stands for Headlamp's (that one pulls the whole dashboard in).
import React from 'react';
import { createRoot } from 'react-dom/client';
import { QueryClientProvider } from '@tanstack/react-query';
import { queryClient } from 'headlamp/lib/queryClient';
import { useKubeObject } from 'headlamp/lib/k8s/api/v2/hooks';
import { useKubeObjectList } from 'headlamp/lib/k8s/api/v2/useKubeObjectList';

class Pod {
  static apiVersion = 'v1';
  static apiName = 'pods';
  static isNamespaced = true;
  static apiEndpoint = { apiInfo: [{ group: '', version: 'v1', resource: 'pods' }] };
  constructor(json, cluster) {
    this.jsonData = json;
    this.cluster = cluster;
  }
  get metadata() {
    return this.jsonData.metadata;
  }
}

const requests = [{ cluster: 'sim', namespaces: [] }];

function List({ id, selector }) {
  const { items, errors } = useKubeObjectList({ kubeObjectClass: Pod, requests, queryParams: { labelSelector: selector } });
  return (
    <section>
      <h3>{id} {errors && String(errors)}</h3>
      <ul data-list={id}>
        {items?.map(({ metadata: { uid, name, labels } }) => <li key={uid}>{`${name}=${labels.round}`}</li>)}
      </ul>
    </section>
  );
}

function One({ name }) {
  const [pod] = useKubeObject({ kubeObjectClass: Pod, namespace: 'default', name, cluster: 'sim' });
  return <p>{name}: <span data-one={name}>{pod?.metadata.labels.round}</span></p>;
}

function Page() {
  const [later, openLater] = React.useState('');
  window.openLater = openLater; // as a user does who goes to another view
  return (
    <>
      <List id="all" selector="" />
      <List id="red" selector="team=red" />
      <List id="blue" selector="team=blue" />
      <One name="p3" />
      {later && <List id="later" selector={later} />}
    </>
  );
}

createRoot(document.getElementById('root')).render(
  <QueryClientProvider client={queryClient}>
    <Page />
  </QueryClientProvider>
);
